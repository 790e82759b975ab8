/**
 * ISO 8601 dates and times of the key file: calendar dates (`2026-12-31`, `20261231`) and week dates (`2026-W53-4`), alone
 * or followed by `T` or a blank and a time, with `Z`, an offset or no zone.
 */
const dateForm =
  /^(?<year>\d{4})(?:-(?<month>\d\d)-(?<day>\d\d)|(?<monthDay>\d{4})|-?W(?<week>\d\d)(?:-?(?<weekday>[1-7]))?)$/i;
const timeForm =
  /^(?<hour>\d\d)(?::?(?<minute>\d\d)(?::?(?<second>\d\d)(?:[.,](?<fraction>\d{1,9}))?)?)?(?<zone>Z|[+-]\d\d(?::?\d\d)?)?$/i;

const dayMs = 86_400_000;

/**
 * Milliseconds since 1970 of a date or time; undefined for any other text. A text without a zone is UTC, a date alone is
 * its midnight.
 */
export function parseIsoTime(text: string): number | undefined {
  const [, dateText = '', timeText] = /^([^T ]+)(?:[T ](.+))?$/i.exec(text.trim()) ?? [];
  const date = dateOf(dateForm.exec(dateText)?.groups);
  const time = timeText === undefined ? 0 : timeOf(timeForm.exec(timeText)?.groups);
  return date === undefined || time === undefined ? undefined : date + time;
}

/** `2026-12-31T23:59:59Z`: UTC, whole seconds. */
export function formatIsoTime(timeMs: number): string {
  return new Date(timeMs).toISOString().replace(/\.\d+Z$/, 'Z');
}

type Groups = Readonly<Record<string, string | undefined>> | undefined;

function dateOf(groups: Groups): number | undefined {
  if (groups === undefined) return undefined;
  const { year, month, day, monthDay, week, weekday } = groups;
  if (week !== undefined) return weekDate(Number(year), Number(week), Number(weekday ?? 1));
  const monthNumber = Number(month ?? monthDay?.slice(0, 2));
  const dayNumber = Number(day ?? monthDay?.slice(2));
  const date = new Date(Date.UTC(Number(year), monthNumber - 1, dayNumber));
  // Date turns a day that the month does not have into a day of the next month.
  const exists = date.getUTCMonth() === monthNumber - 1 && date.getUTCDate() === dayNumber;
  return exists && Number(year) > 0 ? date.getTime() : undefined;
}

/** Milliseconds since midnight UTC. */
function timeOf(groups: Groups): number | undefined {
  if (groups === undefined) return undefined;
  const [hour, minute, second] = [groups.hour, groups.minute ?? 0, groups.second ?? 0].map(Number);
  const zoneMs = zoneOf(groups.zone ?? 'Z');
  if (hour === undefined || minute === undefined || second === undefined) return undefined;
  if (hour > 23 || minute > 59 || second > 59 || zoneMs === undefined) return undefined;
  const fractionMs = Math.floor(Number(`0.${groups.fraction ?? 0}`) * 1000);
  return ((hour * 60 + minute) * 60 + second) * 1000 + fractionMs - zoneMs;
}

/** Week 1 is the one with 4 January in it; weeks begin on Monday. */
function weekDate(year: number, week: number, weekday: number): number | undefined {
  const monday = mondayOfWeek1(year);
  const weekCount = Math.round((mondayOfWeek1(year + 1) - monday) / (7 * dayMs));
  if (week < 1 || week > weekCount) return undefined;
  return monday + ((week - 1) * 7 + weekday - 1) * dayMs;
}

function mondayOfWeek1(year: number): number {
  const fourth = Date.UTC(year, 0, 4);
  const daysSinceMonday = (new Date(fourth).getUTCDay() + 6) % 7;
  return fourth - daysSinceMonday * dayMs;
}

/** Milliseconds ahead of UTC. */
function zoneOf(zone: string): number | undefined {
  if (zone.toUpperCase() === 'Z') return 0;
  const digits = zone.slice(1).replace(':', '');
  const [hours, minutes] = [Number(digits.slice(0, 2)), Number(digits.slice(2))];
  if (hours > 23 || minutes > 59) return undefined;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}
