/** Usage of one key on one day (UTC). */
export interface Usage {
  /** `2026-11-24`. */
  readonly day: string;
  readonly keyId: string;
  readonly requestCount: number;
  /** Requests that failed or were aborted. */
  readonly errorCount: number;
  readonly promptTokenCount: number;
  /** Prompt tokens that came from the cache. */
  readonly cachedTokenCount: number;
  readonly completionTokenCount: number;
}

type Count = Exclude<keyof Usage, 'day' | 'keyId'>;

/** Names in a line of the file, short for files with many lines. */
const names: Readonly<Record<Count, string>> = {
  requestCount: 'requests',
  errorCount: 'errors',
  promptTokenCount: 'prompt',
  cachedTokenCount: 'cached',
  completionTokenCount: 'completion',
};
const counts = Object.keys(names) as Count[];

/**
 * Sums of usage. The text form is lines of JSON that add up: a line may be one request or the sum of a month.
 */
export class UsageTotals {
  readonly #totals = new Map<string, Usage>();

  add(usage: Usage): void {
    const id = `${usage.day} ${usage.keyId}`;
    const before = this.#totals.get(id);
    const sum: Record<Count, number> = { ...usage };
    if (before !== undefined) for (const count of counts) sum[count] += before[count];
    this.#totals.set(id, { day: usage.day, keyId: usage.keyId, ...sum });
  }

  get size(): number {
    return this.#totals.size;
  }

  /** By day, then by key. */
  list(): readonly Usage[] {
    return [...this.#totals.values()].sort(
      (a, b) => compare(a.day, b.day) || compare(a.keyId, b.keyId),
    );
  }
}

/** One line with its line break. */
export function toLine(usage: Usage): string {
  const fields = counts.flatMap((count) =>
    usage[count] === 0 ? [] : [[names[count], usage[count]]],
  );
  return `${JSON.stringify({ day: usage.day, key: usage.keyId, ...Object.fromEntries(fields) })}\n`;
}

/** The usage of a line without its line break; undefined for an invalid line. */
export function fromLine(line: string): Usage | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined;
  const fields = parsed as Readonly<Record<string, unknown>>;
  const { day, key } = fields;
  if (typeof day !== 'string' || !/^\d{4}-\d\d-\d\d$/.test(day) || typeof key !== 'string') {
    return undefined;
  }
  const usage: Record<Count, number> = {
    requestCount: 0,
    errorCount: 0,
    promptTokenCount: 0,
    cachedTokenCount: 0,
    completionTokenCount: 0,
  };
  for (const count of counts) {
    const value = fields[names[count]] ?? 0;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) return undefined;
    usage[count] = value;
  }
  return { day, keyId: key, ...usage };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
