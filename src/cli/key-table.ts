import { isExpired } from '../access/keys/api-key.ts';
import { formatIsoTime } from '../access/keys/iso-time.ts';
import type { KeyFileLine } from '../access/keys/key-file.ts';

/** A line in `keys list`: the JSON of `--json`, with the names of the file. */
export interface KeyTableRow {
  readonly line: number;
  /** Null for an invalid line. */
  readonly key_id: string | null;
  readonly status: 'active' | 'expired' | 'invalid';
  readonly reason: string | null;
  readonly rate_limit: number | null;
  readonly tokens_per_minute: number | null;
  readonly tokens_per_day: number | null;
  readonly concurrent_requests: number | null;
  readonly expires: string | null;
  readonly hashed: boolean;
  readonly models: readonly string[] | null;
  readonly scopes: readonly string[] | null;
  readonly priority: string | null;
}

/** @param now - milliseconds since 1970 */
export function toRow(line: Exclude<KeyFileLine, { kind: 'other' }>, now: number): KeyTableRow {
  const key = line.kind === 'key' ? line.key : undefined;
  const note = line.kind === 'invalid' ? line.note : undefined;
  return {
    line: key?.lineNumber ?? note?.line ?? 0,
    key_id: key?.keyId ?? null,
    status: key === undefined ? 'invalid' : isExpired(key, now) ? 'expired' : 'active',
    reason: note?.reason ?? null,
    rate_limit: key?.limits.requestsPerMinute ?? null,
    tokens_per_minute: key?.limits.tokensPerMinute ?? null,
    tokens_per_day: key?.limits.tokensPerDay ?? null,
    concurrent_requests: key?.limits.concurrentRequests ?? null,
    expires: key?.expiresAt === undefined ? null : formatIsoTime(key.expiresAt),
    hashed: key?.hashed ?? false,
    models: key?.models ?? null,
    scopes: key?.scopes ?? null,
    priority: key?.priority ?? null,
  };
}

/** The rows below their headings. */
export function keyTable(rows: readonly KeyTableRow[]): string {
  const cells = [
    ['KEY_ID', 'RATE_LIMIT', 'EXPIRES', 'STATUS'],
    ...rows.map((row) => [
      row.key_id ?? `line ${row.line}`,
      row.rate_limit === null ? 'default' : `${row.rate_limit}/min`,
      row.expires ?? '-',
      row.reason === null ? row.status : `${row.status}: ${row.reason}`,
    ]),
  ];
  const widths = [0, 1, 2, 3].map((column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0)),
  );
  return cells
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
    .map((line) => line.trimEnd())
    .join('\n');
}
