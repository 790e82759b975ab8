/** Arrays of a schema. */
import { readCount, readCounts } from './schema-count.ts';
import { writeMembers } from './schema-grammar.ts';
import { join } from './schema-keywords.ts';
import type { RawSchema } from './schema-merge.ts';
import { type NodeAt, type NodeReader, schemaLimits } from './schema-reading.ts';
import { listedValues } from './schema-values.ts';
import { literal, writtenSchema } from './written.ts';

/** Copies of `items` that a tuple gets, so that it has `minItems`. */
const maxCopies = 100;

interface Counts {
  readonly min: number | undefined;
  readonly max: number | undefined;
}

/** An array of equal items, or a tuple. */
export function readArray(
  schema: RawSchema,
  path: string,
  depth: number,
  reader: NodeReader,
): RawSchema {
  const { reading } = reader;
  const counts = readCounts(schema, ['minItems', 'maxItems'], {
    limit: schemaLimits.items,
    path,
    reading,
  });
  const keyword = Array.isArray(schema.items) ? 'items' : 'prefixItems';
  const tuple = schema[keyword];
  if (tuple !== undefined && !Array.isArray(tuple)) {
    reading.refuse(join(path, keyword), 'must be an array of schemas');
  }
  if (Array.isArray(tuple)) return readTuple(schema, keyword, counts, { path, depth, reader });
  const items = schema.items ?? schema.unevaluatedItems;
  if (items === false || counts.max === 0) {
    if ((counts.min ?? 0) > 0)
      reading.impossible(join(path, 'minItems'), 'asks for items that `items` forbids');
    return { type: 'array', items: {}, maxItems: 0 };
  }
  const node = items === undefined ? undefined : reader.node(items, join(path, 'items'), depth + 1);
  const bounded = boundedCounts(counts, path, reader);
  if (schema.uniqueItems === true && (bounded.max === undefined || bounded.max > 1)) {
    const unique = uniqueArray(node, bounded, path, reader);
    if (unique !== undefined) return unique;
  }
  if (schema.contains !== undefined) {
    const containing = containingArray(schema, node, bounded, { path, depth, reader });
    if (containing !== undefined) return containing;
  }
  return {
    type: 'array',
    ...(node !== undefined && { items: node }),
    ...(bounded.min !== undefined && { minItems: bounded.min }),
    ...(bounded.max !== undefined && { maxItems: bounded.max }),
  };
}

/** Without what the budget has no room for. */
function boundedCounts({ min, max }: Counts, path: string, { reading }: NodeReader): Counts {
  if (reading.countRepetitions(max ?? min ?? 0, join(path, 'maxItems'))) return { min, max };
  return reading.countRepetitions(min ?? 0, join(path, 'minItems'))
    ? { min, max: undefined }
    : { min: undefined, max: undefined };
}

/** A tuple with all its items, as many as the counts ask for. */
function readTuple(
  schema: RawSchema,
  keyword: 'items' | 'prefixItems',
  { min = 0, max }: Counts,
  { path, depth, reader }: NodeAt,
): RawSchema {
  const { reading } = reader;
  let items = (schema[keyword] as readonly unknown[]).slice(0, max);
  const end = items.indexOf(false);
  if (end >= 0) items = items.slice(0, end);
  const rest =
    (keyword === 'items' ? schema.additionalItems : schema.items) ?? schema.unevaluatedItems;
  if (rest !== false || items.length > min) reading.tighten(join(path, keyword));
  if (min > items.length) {
    const missing = min - items.length;
    if (rest === false || end >= 0) {
      reading.impossible(join(path, 'minItems'), `asks for more items than \`${keyword}\` has`);
    } else if (missing > maxCopies) {
      const most = items.length + maxCopies;
      reading.refuse(join(path, 'minItems'), `must be at most ${most} beside \`${keyword}\``);
    } else items = [...items, ...Array<unknown>(missing).fill(rest ?? true)];
  }
  if (schema.uniqueItems === true && items.length > 1) {
    reading.refuse(join(path, 'uniqueItems'), `cannot be enforced beside \`${keyword}\``);
  }
  if (schema.contains !== undefined) {
    reading.refuse(join(path, 'contains'), `cannot be enforced beside \`${keyword}\``);
  }
  if (items.length === 0) return { type: 'array', items: {}, maxItems: 0 };
  const nodes = items.map((item, index) =>
    reader.node(item, `${join(path, keyword)}[${index}]`, depth + 1),
  );
  return { type: 'array', prefixItems: nodes };
}

/** Different items: each of the listed values at most once, in their order. */
function uniqueArray(
  items: RawSchema | undefined,
  { min = 0, max }: Counts,
  path: string,
  reader: NodeReader,
): RawSchema | undefined {
  const { reading } = reader;
  const at = join(path, 'uniqueItems');
  const values = items && listedValues(reader.resolved(items));
  const texts = [...new Set(values?.map((value) => JSON.stringify(value)))];
  const most = Math.min(max ?? texts.length, texts.length);
  if (values === undefined || texts.length * Math.max(min, 1) > schemaLimits.items) {
    reading.refuse(at, 'can be enforced only for listed values: a grammar cannot compare items');
    return undefined;
  }
  if (min > most) {
    reading.impossible(join(path, 'minItems'), 'asks for more different items than there are');
    return undefined;
  }
  reading.tighten(at);
  const members = texts.map((text) => ({ text: literal(text), isRequired: false }));
  const plain = { type: 'array', items, minItems: min, maxItems: most };
  return writtenSchema(plain, ({ rules }) =>
    writeMembers(members, { min, max: most }, rules, rules.add('| " "'), ['[', ']']),
  );
}

/** An array that begins with the items it has to contain. */
function containingArray(
  schema: RawSchema,
  items: RawSchema | undefined,
  { min = 0, max }: Counts,
  { path, depth, reader }: NodeAt,
): RawSchema | undefined {
  const { reading } = reader;
  const at = join(path, 'contains');
  const needed = readCount(schema, 'minContains', { path, reading }) ?? 1;
  const allowed = readCount(schema, 'maxContains', { path, reading });
  const most = Math.min(...[max, allowed].filter((each) => each !== undefined), Infinity);
  const least = Math.max(min, needed);
  if (needed > schemaLimits.items) {
    reading.refuse(join(path, 'minContains'), `must be at most ${schemaLimits.items}`);
    return undefined;
  }
  if (least > most) {
    reading.impossible(at, 'asks for more items than the array may have');
    return undefined;
  }
  if (needed > 0 || allowed !== undefined) reading.tighten(at);
  const sought = reader.node(
    schema.items === undefined ? schema.contains : { allOf: [schema.items, schema.contains] },
    at,
    depth + 1,
  );
  const each = items ?? {};
  const counts = {
    ...(least > 0 && { minItems: least }),
    ...(Number.isFinite(most) && { maxItems: most }),
  };
  if (needed === 0) return { type: 'array', items: each, ...counts };
  const plain = { type: 'array', items: each, ...counts };
  return writtenSchema(plain, (writer) => {
    const blank = writer.rules.add('| " "');
    const first = writer.value(sought);
    const begin = [first, ...Array<string>(needed - 1).fill(`"," ${blank} ${first}`)].join(' ');
    const rest = Number.isFinite(most) ? most - needed : '';
    const next = writer.rules.add(`"," ${blank} ${writer.value(each)}`);
    const others = `${next}{${least - needed},${rest}}`;
    return most === needed
      ? `"[" ${blank} ${begin} ${blank} "]"`
      : `"[" ${blank} ${begin} ${others} ${blank} "]"`;
  });
}
