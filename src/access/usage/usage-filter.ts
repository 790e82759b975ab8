import { isKeyId } from '../keys/key-line.ts';
import type { Usage } from './usage-lines.ts';

/** The requested part of the usage; days are `2026-11-24`, an absent field does not filter. */
export interface UsageFilter {
  readonly day?: string | undefined;
  /** The first day. */
  readonly from?: string | undefined;
  /** The last day. */
  readonly to?: string | undefined;
  readonly keyId?: string | undefined;
}

/** One field of a filter is invalid. */
export class UsageFilterError extends Error {
  readonly field: keyof UsageFilter;
  /** Completes "<field> must ...". */
  readonly expectation: string;

  constructor(field: keyof UsageFilter, expectation: string) {
    super(`${field} must ${expectation}`);
    this.field = field;
    this.expectation = expectation;
  }
}

/** @throws {UsageFilterError} */
export function checkFilter({ day, from, to, keyId }: UsageFilter): void {
  for (const [field, value] of Object.entries({ day, from, to })) {
    if (value === undefined || isDay(value)) continue;
    const expectation = `be a day like 2026-11-24, received ${JSON.stringify(value)}`;
    throw new UsageFilterError(field as 'day' | 'from' | 'to', expectation);
  }
  if (day !== undefined && (from !== undefined || to !== undefined)) {
    throw new UsageFilterError('day', 'stand alone, without a first or last day');
  }
  if (from !== undefined && to !== undefined && from > to) {
    throw new UsageFilterError('from', `not be after the last day, ${to}; received ${from}`);
  }
  if (keyId !== undefined && !isKeyId(keyId)) {
    const expectation = `be 1 to 64 letters, digits, "-" and "_", received ${JSON.stringify(keyId)}`;
    throw new UsageFilterError('keyId', expectation);
  }
}

export function matches(usage: Usage, { day, from = day, to = day, keyId }: UsageFilter): boolean {
  return (
    (from === undefined || usage.day >= from) &&
    (to === undefined || usage.day <= to) &&
    (keyId === undefined || usage.keyId === keyId)
  );
}

/** Whether a text is a day of the calendar. */
function isDay(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return false;
  const time = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}
