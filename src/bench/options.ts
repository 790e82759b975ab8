import { StartError } from '../core/start-error.ts';
import { type Flag, readFlags } from '../terminal/flags.ts';
import { apiKey, type BenchValues, type FlagName, flags, type OutputFormat } from './flags.ts';
import type { Load } from './load.ts';
import type { WorkloadName } from './workload.ts';

/** What to measure, and how the result is judged and reported. */
export interface BenchOptions {
  readonly server: ServerOptions;
  readonly peer: ServerOptions | undefined;
  readonly gatewayOnly: boolean;
  readonly workload: WorkloadName;
  readonly prompt: string;
  /** One for each step of the sweep; undefined for the fixed prompt. */
  readonly promptTokenCounts: readonly (number | undefined)[];
  readonly prefixTokenCount: number;
  readonly turnCount: number;
  readonly maxTokens: number;
  readonly ignoreEos: boolean;
  readonly loads: readonly Load[];
  /** Requests of each cell and round; undefined leaves it to the load, or to the duration. */
  readonly requestCount: number | undefined;
  readonly durationMs: number | undefined;
  readonly warmupCount: number;
  readonly roundCount: number;
  readonly timeoutMs: number;
  readonly seed: number;
  readonly output: OutputFormat;
  readonly outputFiles: readonly string[];
  readonly baselinePath: string | undefined;
  /** Percent by which a number may be worse than in the baseline; undefined: differences are reported only. */
  readonly failAbovePercent: number | undefined;
  /** Share of requests that may fail, 0 to 1. */
  readonly maxErrorRatio: number;
  /** The command as it was given, without API keys. */
  readonly command: string;
}

export interface ServerOptions {
  readonly url: URL;
  readonly apiKey: string | undefined;
  readonly model: string | undefined;
}

/** API keys from the environment: a command line is no place for a secret. */
export interface BenchKeys {
  readonly server?: string | undefined;
  readonly peer?: string | undefined;
}

const defaultPromptTokens = 128;
const defaultPeerRounds = 3;

/**
 * Reads the flags of `bench`.
 * @throws {StartError} exit code 2, one line for each mistake
 */
export function parseBenchOptions(argv: readonly string[], keys: BenchKeys = {}): BenchOptions {
  const { values, given, problems: mistakes } = readFlags(argv, flags, { emptyIsUnset: true });
  const problems = [...mistakes, ...contradictionsIn(values)];
  const { url } = values;
  if (url === undefined || problems.length > 0) {
    if (url === undefined && !problems.some((problem) => problem.startsWith('--url'))) {
      problems.unshift('--url is required: the server to measure, such as http://127.0.0.1:8000');
    }
    throw new StartError(2, problems.join('\n'));
  }
  const workload = values.workload ?? (values['prompt-tokens'] === undefined ? 'fixed' : 'unique');
  const duration = values.duration;
  return {
    server: {
      url,
      apiKey: values['api-key'] ?? usableKey('BENCH_API_KEY', keys.server),
      model: values.model,
    },
    peer:
      values.peer === undefined
        ? undefined
        : {
            url: values.peer,
            apiKey: values['peer-api-key'] ?? usableKey('BENCH_PEER_API_KEY', keys.peer),
            model: values['peer-model'],
          },
    gatewayOnly: values['gateway-only'] ?? false,
    workload,
    prompt: values.prompt ?? 'Write a short poem about the sea',
    promptTokenCounts:
      workload === 'fixed' ? [undefined] : (values['prompt-tokens'] ?? [defaultPromptTokens]),
    prefixTokenCount: values['prefix-tokens'] ?? 512,
    turnCount: values.turns ?? 4,
    maxTokens: values['max-tokens'] ?? 128,
    ignoreEos: values['ignore-eos'] ?? false,
    loads:
      values.rate?.map((requestsPerSecond) => ({ kind: 'open', requestsPerSecond })) ??
      (values.concurrency ?? [1]).map((concurrency) => ({ kind: 'closed', concurrency })),
    requestCount: values.requests,
    durationMs: duration === undefined ? undefined : duration * 1000,
    warmupCount: values.warmup ?? 1,
    roundCount: values.rounds ?? (values.peer === undefined ? 1 : defaultPeerRounds),
    timeoutMs: (values.timeout ?? 120) * 1000,
    seed: values.seed ?? Math.floor(Math.random() * 2 ** 32),
    output: values.output ?? 'text',
    outputFiles: given
      .filter(({ name }) => name === 'output-file')
      .map(({ value }) => String(value)),
    baselinePath: values.baseline,
    failAbovePercent: values['fail-above'],
    maxErrorRatio: values['max-error-rate'] ?? 0,
    command: [
      'llama-gguf-inference bench',
      ...given.map(({ name, text }) => commandWord(name, text)),
    ].join(' '),
  };
}

function commandWord(name: FlagName, value: string | undefined): string {
  const { secret }: Flag = flags[name];
  if (value === undefined) return `--${name}`;
  if (secret === true) return `--${name} '***'`;
  const isPlain = /^[\w./:@%+=,-]+$/.test(value);
  return `--${name} ${isPlain ? value : `'${value.replaceAll("'", "'\\''")}'`}`;
}

/** Flags that need or exclude each other. */
function contradictionsIn(values: BenchValues): string[] {
  const problems: string[] = [];
  const needs = (name: FlagName, holds: boolean, what: string) => {
    if (values[name] !== undefined && !holds) problems.push(`--${name} needs ${what}`);
  };
  const { workload } = values;
  if (values.rate !== undefined && values.concurrency !== undefined) {
    problems.push('--rate and --concurrency exclude each other');
  }
  const isFixed = workload === 'fixed' || (!workload && values['prompt-tokens'] === undefined);
  needs('prompt', isFixed, '--workload fixed, without --prompt-tokens');
  needs('prompt-tokens', workload !== 'fixed', 'another workload than fixed');
  needs('prefix-tokens', workload === 'shared-prefix', '--workload shared-prefix');
  needs('turns', workload === 'multi-turn', '--workload multi-turn');
  for (const name of ['peer-api-key', 'peer-model'] as const) {
    needs(name, values.peer !== undefined, '--peer');
  }
  needs('fail-above', values.baseline !== undefined, '--baseline');
  return problems;
}

/** @throws {StartError} without showing the key */
function usableKey(name: string, value: string | undefined): string | undefined {
  if (value === undefined || value === '') return undefined;
  const { parse, expectation } = apiKey();
  const key = parse(value);
  if (key === undefined) throw new StartError(2, `${name} must be ${expectation}`);
  return key;
}
