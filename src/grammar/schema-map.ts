/** Objects whose properties are not listed: maps. */
import { patternsOverlap } from './pattern-match.ts';
import { repeated } from './schema-grammar.ts';
import { isRecord, join } from './schema-keywords.ts';
import type { RawSchema } from './schema-merge.ts';
import type { Names } from './schema-names.ts';
import { type NodeAt, schemaLimits } from './schema-reading.ts';
import { type StringLimits, shapeOfString } from './string-shape.ts';
import { writtenSchema } from './written.ts';

/** Names of one pattern, and what their values are. */
interface Entry {
  /** For llama.cpp's converter. */
  readonly pattern: string | undefined;
  readonly value: RawSchema;
}

/** A map with values of one schema, or of one for each pattern of names. */
export function readMap(
  schema: RawSchema,
  names: Names | undefined,
  counts: { readonly min: number | undefined; readonly max: number | undefined },
  at: NodeAt,
): RawSchema {
  const { path, depth, reader } = at;
  const { reading } = reader;
  const { min = 0 } = counts;
  let { max } = counts;
  if (min > 1) {
    reading.refuse(
      join(path, 'minProperties'),
      'can be at most 1 for names that are not listed: a grammar cannot compare names',
    );
  }
  if (max !== undefined && max > schemaLimits.items) max = undefined;
  const isCounted = reading.countRepetitions(max ?? min, join(path, 'maxProperties'));
  const entries = entriesOf(schema, names, at);
  const additional = schema.additionalProperties ?? schema.unevaluatedProperties;
  const isFree = min === 0 && max === undefined;
  if (entries === undefined) {
    if (!isRecord(additional)) {
      if (isFree || !isCounted) return { type: 'object' };
      return countedMap([{ pattern: undefined, value: {} }], { type: 'object' }, { min, max });
    }
    const value = reader.node(additional, join(path, 'additionalProperties'), depth + 1);
    const plain = { type: 'object', additionalProperties: value };
    return isFree || !isCounted
      ? plain
      : countedMap([{ pattern: undefined, value }], plain, { min, max });
  }
  if (entries.length === 0) {
    if (min > 0)
      reading.impossible(join(path, 'minProperties'), 'asks for names that are not allowed');
    return { type: 'object', additionalProperties: false };
  }
  reading.changed = true;
  return countedMap(
    entries,
    { type: 'object' },
    isCounted ? { min, max } : { min: 0, max: undefined },
  );
}

function countedMap(
  entries: readonly Entry[],
  plain: RawSchema,
  counts: { readonly min: number; readonly max: number | undefined },
): RawSchema {
  const counted = {
    ...plain,
    ...(counts.min > 0 && { minProperties: counts.min }),
    ...(counts.max !== undefined && { maxProperties: counts.max }),
  };
  return writtenSchema(counted, (writer) => {
    if (counts.max === 0) return '"{}"';
    const blank = writer.rules.add('| " "');
    const members = entries.map(({ pattern, value }) => {
      const key = writer.value({ type: 'string', ...(pattern !== undefined && { pattern }) });
      return `${key} ":" ${blank} ${writer.value(value)}`;
    });
    return repeated('{', writer.rules.add(members.join(' | ')), '}', writer.rules, counts);
  });
}

/** Undefined where any name is allowed. */
function entriesOf(schema: RawSchema, names: Names | undefined, at: NodeAt): Entry[] | undefined {
  const { path, depth, reader } = at;
  const { reading } = reader;
  if (names?.listed !== undefined) return [];
  const patterns = isRecord(schema.patternProperties)
    ? Object.entries(schema.patternProperties)
    : [];
  const none = { patterns: [], lengths: { min: 0, max: Number.POSITIVE_INFINITY } };
  const limits = names?.limits ?? none;
  if (patterns.length === 0) {
    if (names?.limits === undefined) return undefined;
    const pattern = patternOf(limits, join(path, 'propertyNames'), at);
    const additional = schema.additionalProperties ?? true;
    const value = reader.node(additional, join(path, 'additionalProperties'), depth + 1);
    return [{ pattern, value }];
  }
  const where = join(path, 'patternProperties');
  if (schema.additionalProperties !== false) reading.tighten(where);
  const entries: Entry[] = [];
  for (const [source, value] of patterns) {
    const place = `${where}.${source}`;
    const pattern = patternOf({ ...limits, patterns: [...limits.patterns, source] }, place, at);
    if (pattern === undefined) return undefined;
    // A name may match other patterns as well: their schemas then hold too.
    const others = patterns.filter(([other]) => other !== source && patternsOverlap(source, other));
    const all = [value, ...others.map(([, each]) => each)];
    if (all.includes(false)) continue;
    const whole = all.length === 1 ? value : { allOf: all };
    const node = reading.alternative(() => reader.node(whole, place, depth + 1));
    if (node !== undefined) entries.push({ pattern, value: node });
  }
  return entries;
}

function patternOf(limits: StringLimits, path: string, { reader }: NodeAt): string | undefined {
  const { result: shape } = reader.reading.counted(shapeOfString(limits));
  if ('pattern' in shape) {
    const { source, cost } = shape.pattern;
    return reader.reading.countRepetitions(cost, path) ? source : undefined;
  }
  reader.reading.refuse(path, shape.reason);
  return undefined;
}
