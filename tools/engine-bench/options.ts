/** Command line of `npm run bench`: options, defaults, help text. */
import { parseArgs } from 'node:util';
import { type ShapeName, shapeNames } from '../bench-models/shapes.ts';
import { type WeightName, weightNames } from '../bench-models/weights.ts';
import { count, oneOf, UsageError } from '../fixtures/bench-flags.ts';

export const contestantNames = [
  'limit',
  'engine',
  'http',
  'node-llama-cpp',
  'ik_llama.cpp',
] as const;
export type ContestantName = (typeof contestantNames)[number];
/** Without the one that takes a quarter of an hour to build. */
const usualContestants = contestantNames.filter((name) => name !== 'ik_llama.cpp');

export const gpuNames = ['off', 'cuda', 'vulkan', 'metal'] as const;
export type GpuName = (typeof gpuNames)[number];

export const kvLayouts = ['auto', 'split', 'unified'] as const;
export type KvLayout = (typeof kvLayouts)[number];

/** Parsed options: what to measure, on which model, in how many rounds. */
export interface BenchOptions {
  readonly streamCounts: readonly number[];
  readonly roundCount: number;
  readonly threadCount: number;
  /** Prompt tokens of one whole request, chat template included. */
  readonly promptTokenCount: number;
  readonly completionTokenCount: number;
  /** KV cells per stream. */
  readonly contextLength: number;
  /** GGUF file to use instead of the random model. */
  readonly modelPath: string | undefined;
  /** Shape of the random model. */
  readonly shapeName: ShapeName;
  readonly weightName: WeightName;
  /** KV layout of the engine and the server. */
  readonly kvLayout: KvLayout;
  /** True if the engine and the server use their own kernels, false for ggml's. */
  readonly cpuKernels: boolean;
  /** Backend that computes the whole model. */
  readonly gpu: GpuName;
  /** Base URL of another OpenAI-compatible server with the same model. */
  readonly peerUrl: string | undefined;
  readonly contestants: readonly ContestantName[];
  readonly jsonPath: string | undefined;
  /** Pause before each measurement, so that the previous contestant's thread pools stop polling. */
  readonly settleMs: number;
}

export const helpText = `Usage: npm run bench -- [options]

Measures whole requests and decoding alone for several numbers of concurrent streams, and prints the
engine and the server as ratios to a bare llama.cpp loop. All contestants take turns in one run.

  --streams LIST            concurrent streams (1,4,8,16)
  --rounds N                measured rounds; medians are printed (5)
  --threads N               threads of every contestant (2)
  --prompt-tokens N         prompt of a whole request, chat template included (58)
  --completion-tokens N     tokens generated for each request (48)
  --context N               KV cells per stream (512)
  --shape NAME              size of the random model: ${shapeNames.join(', ')} (135m)
  --weights TYPE            its weights: ${weightNames.join(', ')} (Q8_0)
  --model PATH              GGUF file to use instead of the random model
  --gpu NAME                backend that computes the model: ${gpuNames.join(', ')} (off)
  --kv-layout NAME          KV layout of the engine and the server: ${kvLayouts.join(', ')} (auto)
  --cpu-kernels on|off      off: the engine and the server use ggml's kernels, too (on)
  --peer URL                another OpenAI-compatible server with the same model, such as
                            http://127.0.0.1:8080
  --only LIST               contestants to run, of ${contestantNames.join(', ')}
                            (${usualContestants.join(',')})
  --json FILE               write every measurement and the machine's description
  --settle MS               pause before each measurement (500)
  --help
`;

/**
 * Parses the command line; null asks for the help text.
 * @throws {UsageError} with the flag, the expected values and the received one
 */
export function parseOptions(argv: readonly string[]): BenchOptions | null {
  const { values } = parse(argv);
  if (values.help === true) return null;
  const options: BenchOptions = {
    streamCounts: values.streams.split(',').map((text) => count('--streams', text)),
    roundCount: count('--rounds', values.rounds),
    threadCount: count('--threads', values.threads),
    promptTokenCount: count('--prompt-tokens', values['prompt-tokens']),
    completionTokenCount: count('--completion-tokens', values['completion-tokens']),
    contextLength: count('--context', values.context),
    modelPath: values.model,
    shapeName: oneOf('--shape', shapeNames, values.shape),
    kvLayout: oneOf('--kv-layout', kvLayouts, values['kv-layout']),
    gpu: oneOf('--gpu', gpuNames, values.gpu),
    weightName: oneOf('--weights', weightNames, values.weights),
    peerUrl: values.peer,
    contestants: (values.only?.split(',') ?? usualContestants).map((name) =>
      oneOf('--only', contestantNames, name),
    ),
    cpuKernels: oneOf('--cpu-kernels', ['on', 'off'] as const, values['cpu-kernels']) === 'on',
    jsonPath: values.json,
    settleMs: count('--settle', values.settle, 0),
  };
  const tokenCount = options.promptTokenCount + options.completionTokenCount;
  if (tokenCount > options.contextLength) {
    throw new UsageError(
      `--context must be at least ${tokenCount}, the sum of prompt and completion tokens`,
    );
  }
  return options;
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        streams: { type: 'string', default: '1,4,8,16' },
        rounds: { type: 'string', default: '5' },
        threads: { type: 'string', default: '2' },
        'prompt-tokens': { type: 'string', default: '58' },
        'completion-tokens': { type: 'string', default: '48' },
        context: { type: 'string', default: '512' },
        shape: { type: 'string', default: '135m' },
        'kv-layout': { type: 'string', default: 'auto' },
        gpu: { type: 'string', default: 'off' },
        weights: { type: 'string', default: 'Q8_0' },
        model: { type: 'string' },
        'cpu-kernels': { type: 'string', default: 'on' },
        peer: { type: 'string' },
        only: { type: 'string' },
        json: { type: 'string' },
        settle: { type: 'string', default: '500' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
