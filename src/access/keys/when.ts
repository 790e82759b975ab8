import { formatIsoTime, parseIsoTime } from './iso-time.ts';

const unitMs: Readonly<Record<string, number>> = {
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Milliseconds of `30m`, `12h`, `90d` or `2w`; undefined for any other text. */
export function parseDuration(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,6})([mhdw])$/i.exec(text.trim()) ?? [];
  const unitLength = unitMs[unit?.toLowerCase() ?? ''];
  return unitLength === undefined ? undefined : Number(count) * unitLength;
}

/**
 * The moment that `--expires` names, as the key file has it: a duration from `now`, or a date or time of
 * ISO 8601; undefined where the text is neither.
 */
export function parseWhen(
  text: string,
  now: number,
): { readonly timeMs: number; readonly text: string } | undefined {
  const duration = parseDuration(text);
  const timeMs = duration === undefined ? parseIsoTime(text) : now + duration;
  return timeMs === undefined ? undefined : { timeMs, text: formatIsoTime(timeMs) };
}
