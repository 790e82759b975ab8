import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { getLlama, type Llama, LlamaLogLevel, NoBinaryFoundError } from 'node-llama-cpp';
import type { ModelConfig } from '../config/config.ts';
import { StartError } from '../core/start-error.ts';
import type { Logger } from '../log/log.ts';

/** llama.cpp with its backends. */
export interface Backend {
  readonly llama: Llama;
  /** The reason of a failed load, which llama.cpp reports only in its log. */
  loadFailure(): string | undefined;
}

/**
 * Begins to open the prebuilt llama.cpp of the requested compute backend, and resolves once node-llama-cpp tests its
 * libraries in a child process. The many short steps before that compete with all other work of this process; the test
 * does not.
 * @returns `backend`, which rejects with a {@link StartError} of exit code 1 when the machine cannot run that backend.
 *   The rejection needs no listener
 */
export async function startBackend(
  gpu: ModelConfig['gpu'],
  logger: Logger,
): Promise<{ readonly backend: Promise<Backend> }> {
  const trial = nextProcess();
  const backend = openBackend(gpu, logger);
  await Promise.race([trial.started, backend]).catch(() => {});
  trial.forget();
  return { backend };
}

/** Detects the next child process of this process. */
function nextProcess() {
  let onStart = () => {};
  const started = new Promise<void>((resolve) => {
    onStart = () => resolve();
  });
  subscribe('child_process', onStart);
  return { started, forget: () => unsubscribe('child_process', onStart) };
}

/** Never builds or downloads one. */
async function openBackend(gpu: ModelConfig['gpu'], logger: Logger): Promise<Backend> {
  let loadFailure: string | undefined;
  try {
    const llama = await getLlama({
      build: 'never',
      skipDownload: true,
      progressLogs: false,
      gpu: gpu === 'off' ? false : gpu,
      logLevel: logger.isLevelEnabled('debug') ? LlamaLogLevel.info : LlamaLogLevel.warn,
      logger: (level, message) => {
        const line = message.trim();
        // llama.cpp draws its own progress as single dots.
        if (line === '' || line === '.') return;
        loadFailure = /error loading model: (.+)/.exec(line)?.[1] ?? loadFailure;
        logger[levelName(level)]({ source: 'llama.cpp' }, line);
      },
    });
    return { llama, loadFailure: () => loadFailure };
  } catch (cause) {
    if (!(cause instanceof NoBinaryFoundError)) throw cause;
    throw new StartError(
      1,
      gpu === 'auto' || gpu === 'off'
        ? `no prebuilt llama.cpp for ${process.platform}-${process.arch} works on this machine; run npm ci again, with optional dependencies`
        : `GPU is ${gpu}, but this machine has no usable ${gpu} device or driver; use GPU=auto or GPU=off`,
      { cause },
    );
  }
}

function levelName(level: LlamaLogLevel): 'error' | 'warn' | 'debug' {
  switch (level) {
    case LlamaLogLevel.fatal:
    case LlamaLogLevel.error:
      return 'error';
    case LlamaLogLevel.warn:
      return 'warn';
    default:
      return 'debug';
  }
}
