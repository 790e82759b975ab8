import { parseArgs } from 'node:util';
import { nearest } from '../config/nearest.ts';
import { quote } from '../config/sources.ts';
import { choice, decimal, integer, text, type ValueKind } from '../config/values.ts';
import { StartError } from '../start-error.ts';
import type { Load } from './load.ts';
import { type WorkloadName, workloadNames } from './workload.ts';

export const outputFormats = ['text', 'json', 'html'] as const;
export type OutputFormat = (typeof outputFormats)[number];

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

/** A flag: its kind, what it is for, and its default in words. */
interface Flag<T> {
  readonly kind: ValueKind<T>;
  readonly summary: string;
  readonly fallback?: string;
  /** Its value is never shown. */
  readonly isSecret?: true;
}

const maxCount = 1_000_000;
const maxTokenCount = 10_000_000;

const flags = {
  url: flag(httpUrl(), 'server to measure; its path is kept, a trailing /v1 dropped', 'required'),
  'api-key': { ...flag(apiKey(), 'its API key', '$BENCH_API_KEY'), isSecret: true },
  model: flag(text('ID'), 'model to name', 'the first of /v1/models'),
  'gateway-only': flag(present(), 'measure /ping and /health only'),
  workload: flag(
    choice(...workloadNames),
    'fixed: one prompt; unique: prompts no cache knows; shared-prefix: one long system message ' +
      'before each; multi-turn: conversations',
    'fixed, or unique with --prompt-tokens',
  ),
  prompt: flag(text('TEXT'), 'the prompt of fixed', 'Write a short poem about the sea'),
  'prompt-tokens': flag(
    list(integer({ min: 1, max: maxTokenCount })),
    'prompt lengths to sweep over, of each turn with multi-turn',
    '128',
  ),
  'prefix-tokens': flag(
    integer({ min: 1, max: maxTokenCount }),
    'length of the prefix of shared-prefix',
    '512',
  ),
  turns: flag(integer({ min: 1, max: 1000 }), 'turns of each conversation of multi-turn', '4'),
  'max-tokens': flag(integer({ min: 1, max: maxTokenCount }), 'completion tokens', '128'),
  'ignore-eos': flag(present(), 'have every completion as long as --max-tokens'),
  concurrency: flag(
    list(integer({ min: 1, max: 10_000 })),
    'requests under way at once, to sweep over',
    '1',
  ),
  rate: flag(
    list(decimal({ min: 0, max: 100_000, aboveMin: true })),
    'requests per second that arrive at random, instead of --concurrency',
  ),
  requests: flag(
    integer({ min: 1, max: maxCount }),
    'requests of each step',
    '10, or the concurrency where that is more',
  ),
  duration: flag(
    decimal({ min: 0, max: 604_800, aboveMin: true }),
    'seconds each step sends for, instead of or beside --requests',
  ),
  warmup: flag(integer({ min: 0, max: maxCount }), 'requests before each step, not counted', '1'),
  rounds: flag(integer({ min: 1, max: 1000 }), 'times each step is run', '1, with --peer 3'),
  timeout: flag(
    decimal({ min: 0, max: 86_400, aboveMin: true }),
    'seconds without a byte after which a request has failed',
    '120',
  ),
  seed: flag(integer({ min: 0, max: 2 ** 32 - 1 }), 'seed of prompts and arrivals', 'random'),
  peer: flag(httpUrl(), 'a second server, measured in turns with the first'),
  'peer-api-key': { ...flag(apiKey(), 'its API key', '$BENCH_PEER_API_KEY'), isSecret: true },
  'peer-model': flag(text('ID'), 'model to name to it', 'the first of its /v1/models'),
  output: flag(choice(...outputFormats), 'form of the report', 'text'),
  'output-file': flag(
    text('FILE'),
    'write the report there and the text to standard output; .json, .html and .txt name their ' +
      'form; may be given more than once',
  ),
  baseline: flag(text('FILE'), 'a JSON report of an earlier run to compare with'),
  'fail-above': flag(
    decimal({ min: 0, max: 1e6 }),
    'exit with 1 when a number is worse than the baseline by more than so many percent',
  ),
  'max-error-rate': flag(
    decimal({ min: 0, max: 1 }),
    'share of failed requests above which the exit code is 1',
    '0',
  ),
} as const satisfies Record<string, Flag<unknown>>;

type FlagName = keyof typeof flags;
type FlagValues = {
  readonly [Name in FlagName]?: (typeof flags)[Name] extends Flag<infer T> ? T : never;
};

const flagNames = Object.keys(flags) as FlagName[];
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

/** The text of `bench --help`. */
export function benchHelpText(): string {
  const lines = flagNames.flatMap((name) => {
    const { kind, summary, fallback }: Flag<unknown> = flags[name];
    const value = kind.placeholder === undefined ? '' : ` ${kind.placeholder}`;
    const fallbackText = fallback === undefined ? '' : ` (default: ${fallback})`;
    return [`  --${name}${value}`, `      ${summary}${fallbackText}`];
  });
  return `Usage: llama-gguf-inference bench --url URL [flags]

Measures an OpenAI-compatible server: latency of /ping and /health, then streamed chat completions.

${lines.join('\n')}
  --help
      this text

Exit codes: 0 measured, 1 the server is not there, requests failed or a number got worse than allowed,
2 wrong flags, 130 and 143 stopped by SIGINT or SIGTERM, after the report of what was done.
`;
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
  let afterUnknownFlag = false;
  for (const token of tokens) {
    // What follows a flag nobody knows is its value, most likely.
    if (token.kind === 'positional' && !afterUnknownFlag) {
      problems.push(`unexpected argument ${quote(token.value)}`);
    }
    afterUnknownFlag = false;
    if (token.kind !== 'option') continue;
    const name = flagNames.find((each) => `--${each}` === token.rawName);
    if (name === undefined) {
      afterUnknownFlag = true;
      const meant = nearest(token.name, flagNames);
      const hint = meant === undefined ? '' : `, did you mean --${meant}?`;
      problems.push(`unknown flag ${token.rawName}${hint}`);
      continue;
    }
    const value = readValue(name, token, problems);
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

function isSwitch(name: FlagName): boolean {
  return flags[name].kind.placeholder === undefined;
}

function flag<T>(kind: ValueKind<T>, summary: string, fallback?: string): Flag<T> {
  return { kind, summary, ...(fallback !== undefined && { fallback }) };
}

/** Given or not. */
function present(): ValueKind<boolean> {
  return { expectation: 'given or not', placeholder: undefined, parse: () => true };
}

/** Values of one kind, separated by commas, each once. */
function list<T>(kind: ValueKind<T>): ValueKind<readonly T[]> {
  return {
    expectation: `${kind.expectation}, or several separated by commas`,
    placeholder: 'LIST',
    parse: (value) => {
      const items = value.split(',').map((each) => kind.parse(each.trim()));
      return items.includes(undefined) ? undefined : [...new Set(items as T[])];
    },
  };
}

function httpUrl(): ValueKind<URL> {
  return {
    expectation: 'a URL that begins with http:// or https://, without user name and password',
    placeholder: 'URL',
    parse: (value) => {
      if (!URL.canParse(value)) return undefined;
      const url = new URL(value);
      const isHttp = url.protocol === 'http:' || url.protocol === 'https:';
      return isHttp && url.username === '' && url.password === '' ? url : undefined;
    },
  };
}

/** What may stand in a header. */
function apiKey(): ValueKind<string> {
  return {
    expectation: 'printable ASCII without spaces',
    placeholder: 'KEY',
    parse: (value) => (/^[\x21-\x7e]+$/.test(value) ? value : undefined),
  };
}
