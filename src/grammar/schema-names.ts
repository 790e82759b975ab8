/** The names that an object's properties may have: `propertyNames` and `patternProperties`. */
import { patternMatches } from './pattern-match.ts';
import { annotations, isRecord, join } from './schema-keywords.ts';
import type { RawSchema } from './schema-merge.ts';
import type { NodeAt } from './schema-reading.ts';
import { limitsOf } from './schema-string.ts';
import { allowsText, listedValues } from './schema-values.ts';
import type { StringLimits } from './string-shape.ts';

/** What `propertyNames` asks for. */
export interface Names {
  /** All names, where they are listed. */
  readonly listed?: readonly string[];
  /** Else what the names are like. */
  readonly limits?: StringLimits;
  allows(name: string): boolean;
}

/** Undefined where any name is allowed. */
export function readNames(schema: RawSchema, at: NodeAt): Names | undefined {
  const raw = schema.propertyNames;
  if (raw === undefined || raw === true) return undefined;
  const { path, depth, reader } = at;
  const where = join(path, 'propertyNames');
  if (isAlwaysTrue(raw)) {
    reader.reading.changed = true;
    return undefined;
  }
  if (raw === false) return { listed: [], allows: () => false };
  const node = reader.resolved(reader.node(raw, where, depth + 1));
  const values = listedValues(node);
  if (values !== undefined) {
    const listed = values.filter((value): value is string => typeof value === 'string');
    return { listed, allows: (name) => listed.includes(name) };
  }
  const isOfText = isRecord(raw) && (raw.type ?? 'string') === 'string';
  if (!isOfText || !isRecord(raw) || node.type !== 'string') {
    reader.reading.refuse(where, 'can be enforced only for listed names, patterns and lengths');
    return undefined;
  }
  const limits = limitsOf(raw, where, reader.reading);
  return { limits, allows: (name) => allowsText(raw, name) };
}

/** A schema that all names match, as maps of several languages have it. */
function isAlwaysTrue(schema: unknown): boolean {
  if (!isRecord(schema)) return false;
  return Object.entries(schema).every(
    ([keyword, value]) =>
      annotations.has(keyword) ||
      value === null ||
      (keyword === 'type' && [value].flat().includes('string')),
  );
}

/** The schemas of `patternProperties` for a name. */
export function schemasOfName(schema: RawSchema, name: string): unknown[] {
  if (!isRecord(schema.patternProperties)) return [];
  return Object.entries(schema.patternProperties)
    .filter(([pattern]) => patternMatches(pattern, name))
    .map(([, each]) => each);
}
