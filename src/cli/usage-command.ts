import { existsSync } from 'node:fs';
import { readLedgers } from '../access/usage/ledger.ts';
import { matches } from '../access/usage/usage-filter.ts';
import { type Usage, UsageTotals } from '../access/usage/usage-lines.ts';
import { failureText } from '../core/failure-text.ts';
import { neutralise } from '../log/log.ts';
import { toTable } from '../terminal/table.ts';
import {
  parseUsageOptions,
  type UsageOptions,
  UsageOptionsError,
  usageHelp,
} from './usage-options.ts';

/** The surroundings of the `usage` command. */
export interface UsageInput {
  readonly argv: readonly string[];
  /** Where `--folder` names none. */
  readonly defaultFolder: string;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** Shows the usage of keys. Returns the exit code; a failure has been reported by then. */
export async function runUsage(input: UsageInput): Promise<number> {
  try {
    const options = parseUsageOptions(input.argv);
    if (options.help) input.out(usageHelp);
    else await show(input, options);
    return 0;
  } catch (error) {
    input.err(`Error: ${neutralise(failureText(error))}\n`);
    return error instanceof UsageOptionsError ? 2 : 1;
  }
}

async function show(
  { defaultFolder, out, err }: UsageInput,
  { folder = defaultFolder, filter, json }: UsageOptions,
): Promise<void> {
  if (!existsSync(folder)) {
    // A mistyped folder must not look like a folder without usage.
    if (folder !== defaultFolder) throw new Error(`there is no folder ${folder}`);
    err(`There is no folder ${neutralise(folder)}: nothing has been recorded.\n`);
  }
  const usages = (await readLedgers(folder)).filter((usage) => matches(usage, filter));
  const keys = sumsOf(usages, ({ keyId }) => keyId);
  const [total = nothing] = sumsOf(usages, () => 'total');
  if (json) {
    const answer = {
      folder,
      data: usages.map((usage) => ({ day: usage.day, ...withKey(usage) })),
      keys: keys.map(withKey),
      total: toCounts(total),
    };
    out(`${JSON.stringify(answer)}\n`);
    return;
  }
  const rows = [...keys, total].map(({ keyId, ...usage }) => [keyId, ...cells(usage)]);
  const heading = ['key', ...Object.keys(toCounts(nothing)).map((name) => name.replace('_', ' '))];
  out(`${toTable([heading, ...rows])}\n`);
}

const nothing: Usage = {
  day: '',
  keyId: 'total',
  requestCount: 0,
  errorCount: 0,
  promptTokenCount: 0,
  cachedTokenCount: 0,
  completionTokenCount: 0,
};

/** Sums over all days. */
function sumsOf(usages: readonly Usage[], nameOf: (usage: Usage) => string): readonly Usage[] {
  const totals = new UsageTotals();
  for (const usage of usages) totals.add({ ...usage, day: '', keyId: nameOf(usage) });
  return totals.list();
}

function cells(usage: Omit<Usage, 'keyId'>): readonly string[] {
  return Object.values(toCounts(usage)).map(String);
}

function withKey(usage: Usage) {
  return { key_id: usage.keyId, ...toCounts(usage) };
}

/** Under the names of `GET /admin/usage`. */
function toCounts(usage: Omit<Usage, 'keyId'>) {
  return {
    requests: usage.requestCount,
    errors: usage.errorCount,
    prompt_tokens: usage.promptTokenCount,
    cached_tokens: usage.cachedTokenCount,
    completion_tokens: usage.completionTokenCount,
  };
}
