/** Objects of a schema. */
import { readCounts } from './schema-count.ts';
import { type Member, writeMembers } from './schema-grammar.ts';
import { isClosed, isRecord, join } from './schema-keywords.ts';
import { readMap } from './schema-map.ts';
import type { RawSchema } from './schema-merge.ts';
import { readNames, schemasOfName } from './schema-names.ts';
import { type NodeAt, type NodeReader, schemaLimits } from './schema-reading.ts';
import { literal, treeOf, type ValueWriter, writtenSchema } from './written.ts';

/** Counts of properties that a grammar can tell apart: optional properties, times the maximum. */
const maxCountStates = 2000;

/** An object with the listed properties, or with values of one schema. */
export function readObject(
  schema: RawSchema,
  path: string,
  depth: number,
  reader: NodeReader,
): RawSchema {
  const at = { path, depth, reader };
  const { reading } = reader;
  const names = readNames(schema, at);
  const properties = readProperties(schema, names?.allows, at);
  const required = readRequired(schema, properties, at);
  const listed = listedOnes(schema, names?.listed, properties, at);
  const limit = Number.MAX_SAFE_INTEGER;
  const counts = readCounts(schema, ['minProperties', 'maxProperties'], { limit, path, reading });
  const isEmpty = Object.keys(listed).length === 0;
  // A function without arguments lists none; elsewhere an empty list says nothing of other names.
  const isNone =
    path === '' && reader.isArguments && !saysOthers(schema) && (counts.min ?? 0) === 0;
  const isListed = !isEmpty || (schema.properties !== undefined && (isNone || isClosed(schema)));
  if (!isListed && !isClosed(schema)) return readMap(schema, names, counts, at);

  // llama.cpp's further names may be invalid JSON, or escaped forms of listed names.
  const isSaid = isClosed(schema) || schema.additionalProperties !== undefined;
  if (!isClosed(schema)) reading.tighten(join(path, 'additionalProperties'));
  const plain = {
    type: 'object',
    ...(isListed && { properties: listed }),
    ...(required.length > 0 && { required }),
    ...(isSaid && { additionalProperties: false }),
  };
  const node = withCounts(plain, counts, at);
  if (isClosed(schema) && !isRecord(schema.patternProperties)) reader.closed.add(node);
  return node;
}

/** Whether a schema says anything of properties that it does not list. */
function saysOthers(schema: RawSchema): boolean {
  const keywords = ['additionalProperties', 'unevaluatedProperties', 'patternProperties'];
  return keywords.some((keyword) => schema[keyword] !== undefined);
}

/** `plain`, as a grammar of its own where the properties are counted, or too many to try them all. */
function withCounts(
  plain: RawSchema,
  counts: { readonly min: number | undefined; readonly max: number | undefined },
  { path, reader: { reading } }: NodeAt,
): RawSchema {
  const all = Object.keys((plain.properties ?? {}) as RawSchema);
  const required = (plain.required ?? []) as readonly string[];
  const optionalCount = all.length - required.length;
  const min = Math.max(counts.min ?? 0, required.length);
  const max = Math.min(counts.max ?? all.length, all.length);
  if (min > max) {
    const keyword = (counts.min ?? 0) > max ? 'minProperties' : 'maxProperties';
    reading.impossible(join(path, keyword), 'does not fit the properties');
    return plain;
  }
  const isCounted = min > required.length || max < all.length;
  if (isCounted && optionalCount * max <= maxCountStates) {
    const counted = {
      ...plain,
      ...(min > required.length && { minProperties: min }),
      ...(max < all.length && { maxProperties: max }),
    };
    return writtenSchema(counted, (writer) => {
      const members = membersOf(plain, writer);
      return writeMembers(members, { min, max }, writer.rules, writer.rules.add('| " "'));
    });
  }
  if (isCounted) {
    const keyword = min > required.length ? 'minProperties' : 'maxProperties';
    reading.refuse(join(path, keyword), 'cannot be enforced for so many properties');
  }
  if (optionalCount <= schemaLimits.optionalProperties) return plain;
  return writtenSchema(plain, (writer) => manyMembers(plain, writer));
}

function membersOf(schema: RawSchema, writer: ValueWriter): (Member & { readonly name: string })[] {
  const required = new Set((schema.required ?? []) as readonly string[]);
  const blank = writer.rules.add('| " "');
  return Object.entries((schema.properties ?? {}) as Record<string, RawSchema>).map(
    ([name, property]) => {
      const key = literal(JSON.stringify(name));
      const text = `${key} ":" ${blank} ${writer.value(property)}`;
      return { name, text, isRequired: required.has(name) };
    },
  );
}

/**
 * The required properties, then any of the others in any order. One of these may come twice: a reader of JSON takes the
 * last value.
 */
function manyMembers(schema: RawSchema, writer: ValueWriter): string {
  const blank = writer.rules.add('| " "');
  const members = membersOf(schema, writer);
  const required = members.filter(({ isRequired }) => isRequired).map(({ text }) => text);
  const others = new Map(
    members
      .filter(({ isRequired }) => !isRequired)
      .map(({ name, text }) => {
        const key = JSON.stringify(name);
        return [key, text.slice(literal(key).length + 1)] as const;
      }),
  );
  const other = treeOf(others, writer.rules);
  const first = required.length > 0 ? required.join(` "," ${blank} `) : undefined;
  const count = others.size;
  const body =
    first === undefined
      ? `(${other} ("," ${blank} ${other}){0,${count - 1}})?`
      : `${first} ("," ${blank} ${other}){0,${count}}`;
  return `"{" ${blank} ${body} ${blank} "}"`;
}

function readProperties(
  schema: RawSchema,
  allows: ((name: string) => boolean) | undefined,
  { path, depth, reader }: NodeAt,
): Record<string, RawSchema> {
  const { reading } = reader;
  const raw = schema.properties ?? {};
  const at = join(path, 'properties');
  if (!isRecord(raw)) {
    reading.refuse(at, 'must be an object of schemas');
    return {};
  }
  const required = new Set<unknown>(Array.isArray(schema.required) ? schema.required : []);
  const entries: [string, RawSchema][] = [];
  for (const [name, property] of Object.entries(raw)) {
    const isRequired = required.has(name);
    if (name.length > schemaLimits.nameLength) {
      reading.refuse(at, `has a name of more than ${schemaLimits.nameLength} characters`);
      continue;
    }
    const schemas = [property, ...schemasOfName(schema, name)];
    // A property that allows no value must be absent.
    const isNever = schemas.some(isFalse) || allows?.(name) === false;
    if (isNever && !isRequired) {
      reading.changed = true;
      continue;
    }
    const where = join(at, name);
    if (isNever) reading.impossible(where, 'allows no value');
    const whole = schemas.length === 1 ? property : { allOf: schemas };
    const read = () => reader.node(isNever ? {} : whole, where, depth + 1);
    const node = reading.isAlternative && !isRequired ? reading.alternative(read) : read();
    if (node !== undefined) entries.push([name, node]);
  }
  return Object.fromEntries(entries);
}

/** `false`, and `{"not": {}}`, which zod writes for it. */
function isFalse(schema: unknown): boolean {
  if (schema === false) return true;
  if (
    !isRecord(schema) ||
    Object.keys(schema).some((key) => key !== 'not' && key !== 'description')
  )
    return false;
  const { not } = schema;
  return not === true || (isRecord(not) && Object.keys(not).length === 0);
}

/** The required names; unlisted ones are added to `properties`. */
function readRequired(
  schema: RawSchema,
  properties: Record<string, RawSchema>,
  at: NodeAt,
): string[] {
  const { path, depth, reader } = at;
  const raw = schema.required;
  if (raw === undefined) return [];
  const where = join(path, 'required');
  if (!Array.isArray(raw) || !raw.every((name) => typeof name === 'string')) {
    reader.reading.refuse(where, 'must be an array of names');
    return [];
  }
  const names = [...new Set(raw as string[])];
  for (const name of names) {
    if (Object.hasOwn(properties, name)) continue;
    const schemas = schemasOfName(schema, name);
    const additional =
      schemas.length > 0 ? { allOf: schemas } : (schema.additionalProperties ?? true);
    if (additional === false || name.length > schemaLimits.nameLength) {
      reader.reading.impossible(where, `names \`${name.slice(0, 40)}\`, which no property allows`);
      continue;
    }
    properties[name] = reader.node(additional, join(path, 'additionalProperties'), depth + 1);
    reader.reading.changed = true;
  }
  return names.filter((name) => Object.hasOwn(properties, name));
}

/** The properties, and those that `propertyNames` lists. */
function listedOnes(
  schema: RawSchema,
  names: readonly string[] | undefined,
  properties: Record<string, RawSchema>,
  { path, depth, reader }: NodeAt,
): Record<string, RawSchema> {
  if (names === undefined || isClosed(schema)) return properties;
  const listed = { ...properties };
  for (const name of names) {
    if (Object.hasOwn(listed, name)) continue;
    const schemas = schemasOfName(schema, name);
    const additional =
      schemas.length > 0 ? { allOf: schemas } : (schema.additionalProperties ?? true);
    if (additional === false) continue;
    listed[name] = reader.node(additional, join(path, 'additionalProperties'), depth + 1);
  }
  return listed;
}
