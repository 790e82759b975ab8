import { checkFilter, type UsageFilter, UsageFilterError } from '../access/usage/usage-filter.ts';
import { text } from '../core/value-kinds.ts';
import { present, readFlags } from '../terminal/flags.ts';

/** The command line of `usage` is wrong: exit code 2. */
export class UsageOptionsError extends Error {}

/** The arguments of `usage`. */
export interface UsageOptions {
  readonly help: boolean;
  readonly json: boolean;
  readonly folder: string | undefined;
  readonly filter: UsageFilter;
}

export const usageHelp = `Usage: llama-gguf-inference usage [flags]

Shows what each API key used, over all servers that share the folder. Days are UTC days.

  --day DAY      this day only, like 2026-11-24
  --from DAY     the first day
  --to DAY       the last day
  --key ID       this key only
  --folder PATH  the folder of the ledgers (default: usage in DATA_DIR)
  --json         answer with one JSON object: the sums of each day and key, of each key, and of all
  --help         this text

Exit codes: 0 done, 1 not readable, 2 wrong flags.
`;

const flags = {
  day: { kind: text('DAY') },
  from: { kind: text('DAY') },
  to: { kind: text('DAY') },
  key: { kind: text('ID') },
  folder: { kind: text('PATH') },
  json: { kind: present() },
  help: { kind: present(), short: 'h' },
};

/** The flag of each field of a filter. */
const flagOf: Readonly<Record<keyof UsageFilter, string>> = {
  day: '--day',
  from: '--from',
  to: '--to',
  keyId: '--key',
};

/** @throws {UsageOptionsError} */
export function parseUsageOptions(argv: readonly string[]): UsageOptions {
  const { values, problems } = readFlags(argv, flags);
  const [problem] = problems;
  if (problem !== undefined) throw new UsageOptionsError(problem);
  const { help = false, json = false, folder, day, from, to, key: keyId } = values;
  const filter = { day, from, to, keyId };
  try {
    if (!help) checkFilter(filter);
  } catch (error) {
    if (!(error instanceof UsageFilterError)) throw error;
    throw new UsageOptionsError(`${flagOf[error.field]} must ${error.expectation}`);
  }
  return { help, json, folder, filter };
}
