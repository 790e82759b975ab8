import { parseArgs } from 'node:util';
import { nearest } from '../core/nearest.ts';
import { quote } from '../core/quote.ts';
import { StartError } from '../core/start-error.ts';
import {
  apiKey,
  type Flag,
  type FlagName,
  type FlagValues,
  flagNames,
  flags,
  isSwitch,
  type OutputFormat,
} from './flags.ts';
import type { Load } from './load.ts';
import type { WorkloadName } from './workload.ts';

/** What to measure, and how the result is judged and told. */
export interface BenchOptions {
  readonly server: ServerOptions;
  readonly peer: ServerOptions | undefined;
  readonly gatewayOnly: boolean;
  readonly workload: WorkloadName;
  readonly prompt: string;
  /** One sweep step each; undefined for the fixed prompt. */
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
  /** Percent a number may be worse than in the baseline; undefined only reports. */
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

/** Keys from the environment, so that they need not stand on the command line. */
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
  const problems: string[] = [];
  const { values, outputFiles, command } = readFlags(argv, problems);
  problems.push(...contradictionsIn(values));
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
    outputFiles,
    baselinePath: values.baseline,
    failAbovePercent: values['fail-above'],
    maxErrorRatio: values['max-error-rate'] ?? 0,
    command,
  };
}

interface ReadFlags {
  readonly values: FlagValues;
  readonly outputFiles: readonly string[];
  readonly command: string;
}

function readFlags(argv: readonly string[], problems: string[]): ReadFlags {
  const values: Record<string, unknown> = {};
  const outputFiles: string[] = [];
  const words = ['llama-gguf-inference bench'];
  const { tokens } = parseArgs({
    args: [...argv],
    options: Object.fromEntries(
      flagNames.map((name) => [
        name,
        { type: isSwitch(name) ? ('boolean' as const) : ('string' as const) },
      ]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  let isAfterWrongFlag = false;
  for (const token of tokens) {
    // What follows a flag that is wrong belongs to it, most likely.
    if (token.kind === 'positional' && !isAfterWrongFlag) {
      problems.push(`unexpected argument ${quote(token.value)}`);
    }
    isAfterWrongFlag = false;
    if (token.kind !== 'option') continue;
    const name = flagNames.find((each) => `--${each}` === token.rawName);
    if (name === undefined) {
      isAfterWrongFlag = true;
      const meant = nearest(token.name, flagNames);
      const hint = meant === undefined ? '' : `, did you mean --${meant}?`;
      problems.push(`unknown flag ${token.rawName}${hint}`);
      continue;
    }
    const problemCount = problems.length;
    const value = readValue(name, token, problems);
    isAfterWrongFlag = problems.length > problemCount;
    if (value === undefined) continue;
    if (name === 'output-file') outputFiles.push(String(value));
    values[name] = value;
    words.push(commandWord(name, token.value));
  }
  return { values: values as FlagValues, outputFiles, command: words.join(' ') };
}

function readValue(
  name: FlagName,
  { value, inlineValue }: { value?: string | undefined; inlineValue?: boolean | undefined },
  problems: string[],
): unknown {
  const { kind, isSecret }: Flag<unknown> = flags[name];
  if (isSwitch(name)) {
    if (value === undefined) return true;
    problems.push(`--${name} takes no value`);
    return undefined;
  }
  const isSwallowedFlag = inlineValue === false && value?.startsWith('--') === true;
  if (value === undefined || isSwallowedFlag) {
    problems.push(`--${name} needs a value`);
    return undefined;
  }
  if (value === '') return undefined;
  const parsed = kind.parse(value);
  if (parsed === undefined) {
    const hidesPassword = isSecret === true || /:\/\/[^/]*@/.test(value);
    const received = hidesPassword ? '' : `, received ${quote(value)}`;
    problems.push(`--${name} must be ${kind.expectation}${received}`);
  }
  return parsed;
}

function commandWord(name: FlagName, value: string | undefined): string {
  const { isSecret }: Flag<unknown> = flags[name];
  if (value === undefined) return `--${name}`;
  if (isSecret === true) return `--${name} '***'`;
  const isPlain = /^[\w./:@%+=,-]+$/.test(value);
  return `--${name} ${isPlain ? value : `'${value.replaceAll("'", "'\\''")}'`}`;
}

/** Flags that say nothing, or two things, together. */
function contradictionsIn(values: FlagValues): string[] {
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
