import { join } from './schema-keywords.ts';
import type { RawSchema } from './schema-merge.ts';
import type { SchemaReading } from './schema-reading.ts';

/** A count such as `minLength`; undefined where the keyword is absent or was refused. */
export function readCount(
  schema: RawSchema,
  keyword: string,
  at: { readonly path: string; readonly reading: SchemaReading },
): number | undefined {
  const value = schema[keyword];
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
  at.reading.refuse(join(at.path, keyword), 'must be an integer of 0 or more');
  return undefined;
}

/** Both counts of one thing; a maximum beyond the limit is lowered to it. */
export function readCounts(
  schema: RawSchema,
  [minimum, maximum]: readonly [string, string],
  at: { readonly limit: number; readonly path: string; readonly reading: SchemaReading },
): { readonly min: number | undefined; readonly max: number | undefined } {
  const { limit, path, reading } = at;
  let min = readCount(schema, minimum, at);
  let max = readCount(schema, maximum, at);
  if (min !== undefined && min > limit) {
    reading.refuse(join(path, minimum), `must be at most ${limit}`);
    min = undefined;
  }
  if (max !== undefined && max > limit) {
    reading.tighten(join(path, maximum));
    max = limit;
  }
  if (max !== undefined && (min ?? 0) > max) {
    reading.impossible(join(path, minimum), `is more than \`${maximum}\``);
    return { min: undefined, max: undefined };
  }
  return { min, max };
}
