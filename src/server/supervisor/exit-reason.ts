import { constants } from 'node:os';

/** How a process ended, as Node reports it: one of the two is null. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const lessMemory =
  'lower CTX, PARALLEL or KV_TOKENS, store the cache smaller (CACHE_TYPE_K and CACHE_TYPE_V, such as ' +
  'q8_0), put fewer layers on the GPU (NGL), serve a smaller quantization, or give it more memory';

/** The probable cause of each signal that ends the gateway, and what to do. */
const reasons: Partial<Record<NodeJS.Signals, string>> = {
  SIGKILL: `it was killed, probably because memory ran out: ${lessMemory}`,
  SIGABRT: `llama.cpp gave up; the lines before this one say why. If memory ran out, ${lessMemory}`,
  SIGSEGV:
    'native code touched memory that is not its own: a defect of the engine, of llama.cpp or of a GPU ' +
    'driver. GPU=off shows whether it is the driver',
  SIGBUS:
    'a file that is mapped into memory could not be read: the model file was changed or cut while it ' +
    'was served, or its disk failed',
  SIGILL: 'this CPU lacks an instruction that the native libraries were built for',
  SIGFPE: 'native code divided by zero: a defect of the engine or of llama.cpp',
};

/** The exit code a shell shows for it: 128 and the number of the signal, where one ended it. */
export function exitStatus({ code, signal }: ProcessExit): number {
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}

/** Why the gateway ended, in words for the log. */
export function explainExit(exit: ProcessExit): string {
  const status = exitStatus(exit);
  const signal = exit.signal ?? signalOf(status);
  if (signal === undefined) {
    return `exit code ${status}: the lines before this one say why`;
  }
  const reason = reasons[signal] ?? 'another process sent this signal';
  return `${signal} (${128 + constants.signals[signal]}): ${reason}`;
}

/** A shell between supervisor and gateway turns signals into exit codes above 128. */
function signalOf(status: number): NodeJS.Signals | undefined {
  const names = Object.keys(constants.signals) as NodeJS.Signals[];
  return status > 128 ? names.find((name) => constants.signals[name] === status - 128) : undefined;
}
