import { choice, decimal, integer, text, type ValueKind } from '../core/value-kinds.ts';
import { type Flag, type FlagValues, present } from '../terminal/flags.ts';
import { workloadNames } from './workload.ts';

export const outputFormats = ['text', 'json', 'html'] as const;
export type OutputFormat = (typeof outputFormats)[number];

/** A flag with its purpose, and its default in words. */
interface BenchFlag<T> extends Flag<T> {
  readonly summary: string;
  readonly fallback?: string;
}

const maxCount = 1_000_000;
const maxTokenCount = 10_000_000;

export const flags = {
  url: flag(httpUrl(), 'server to measure (required); its path is kept, a trailing /v1 is dropped'),
  'api-key': { ...flag(apiKey(), 'its API key', '$BENCH_API_KEY'), secret: true },
  model: flag(text('ID'), 'model that requests name', 'the first of /v1/models'),
  'gateway-only': flag(present(), 'measure /ping and /health only'),
  workload: flag(
    choice(...workloadNames),
    'fixed: one prompt; unique: prompts that no cache has; shared-prefix: one long system message ' +
      'before each prompt; multi-turn: conversations',
    'fixed, or unique with --prompt-tokens',
  ),
  prompt: flag(text('TEXT'), 'prompt of the fixed workload', 'Write a short poem about the sea'),
  'prompt-tokens': flag(
    list(integer({ min: 1, max: maxTokenCount })),
    'prompt lengths to sweep over; with multi-turn the length of each turn',
    '128',
  ),
  'prefix-tokens': flag(
    integer({ min: 1, max: maxTokenCount }),
    'length of the prefix of shared-prefix',
    '512',
  ),
  turns: flag(integer({ min: 1, max: 1000 }), 'turns of each conversation of multi-turn', '4'),
  'max-tokens': flag(integer({ min: 1, max: maxTokenCount }), 'completion tokens', '128'),
  'ignore-eos': flag(present(), 'make every completion as long as --max-tokens'),
  concurrency: flag(
    list(integer({ min: 1, max: 10_000 })),
    'simultaneous requests, to sweep over',
    '1',
  ),
  rate: flag(
    list(decimal({ min: 0, max: 100_000, aboveMin: true })),
    'requests per second, arriving at random, instead of --concurrency',
  ),
  requests: flag(
    integer({ min: 1, max: maxCount }),
    'requests of each step of the sweep',
    '10, or the concurrency where that is more',
  ),
  duration: flag(
    decimal({ min: 0, max: 604_800, aboveMin: true }),
    'seconds for which each step sends, instead of or beside --requests',
  ),
  warmup: flag(integer({ min: 0, max: maxCount }), 'requests before each step, not counted', '1'),
  rounds: flag(integer({ min: 1, max: 1000 }), 'number of runs of each step', '1, with --peer 3'),
  timeout: flag(
    decimal({ min: 0, max: 86_400, aboveMin: true }),
    'seconds without a byte after which a request has failed',
    '120',
  ),
  seed: flag(integer({ min: 0, max: 2 ** 32 - 1 }), 'seed of prompts and arrivals', 'random'),
  peer: flag(httpUrl(), 'a second server, measured in turns with the first'),
  'peer-api-key': { ...flag(apiKey(), 'its API key', '$BENCH_PEER_API_KEY'), secret: true },
  'peer-model': flag(text('ID'), 'model that its requests name', 'the first of its /v1/models'),
  output: flag(choice(...outputFormats), 'form of the report', 'text'),
  'output-file': flag(
    text('FILE'),
    'file for the report, beside the text on standard output; .json, .html and .txt select its ' +
      'form; may be repeated',
  ),
  baseline: flag(text('FILE'), 'a JSON report of an earlier run to compare with'),
  'fail-above': flag(
    decimal({ min: 0, max: 1e6 }),
    'percent by which a number may be worse than the baseline before the exit code is 1',
  ),
  'max-error-rate': flag(
    decimal({ min: 0, max: 1 }),
    'share of failed requests above which the exit code is 1',
    '0',
  ),
} as const satisfies Record<string, BenchFlag<unknown>>;

export type FlagName = keyof typeof flags;
export type BenchValues = FlagValues<typeof flags>;

export const flagNames = Object.keys(flags) as FlagName[];

/** The text of `bench --help`. */
export function benchHelpText(): string {
  const lines = flagNames.flatMap((name) => {
    const { kind, summary, fallback }: BenchFlag<unknown> = flags[name];
    const value = kind.placeholder === undefined ? '' : ` ${kind.placeholder}`;
    const fallbackText = fallback === undefined ? '' : ` (default: ${fallback})`;
    return [`  --${name}${value}`, `      ${summary}${fallbackText}`];
  });
  return `Usage: llama-gguf-inference bench --url URL [flags]

Measures an OpenAI-compatible server: latency of /ping and /health, then streamed chat completions.

${lines.join('\n')}
  --help
      this text

Exit codes: 0 measured, 1 the server cannot be reached, requests failed or a number got worse than allowed,
2 wrong flags, 130 and 143 stopped by SIGINT or SIGTERM, after the report of the finished runs.
`;
}

function flag<T>(kind: ValueKind<T>, summary: string, fallback?: string): BenchFlag<T> {
  return { kind, summary, ...(fallback !== undefined && { fallback }) };
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

/** A value that may stand in a header. */
export function apiKey(): ValueKind<string> {
  return {
    expectation: 'printable ASCII without spaces',
    placeholder: 'KEY',
    parse: (value) => (/^[\x21-\x7e]+$/.test(value) ? value : undefined),
  };
}
