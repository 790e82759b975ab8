/** Listed values of a schema. */
import { isDeepStrictEqual } from 'node:util';
import { patternMatches } from './pattern-match.ts';
import { hasType, join, type TypeName, typeKeywords } from './schema-keywords.ts';
import { Every, type RawSchema } from './schema-merge.ts';
import { Excluded } from './schema-negation.ts';
import { type SchemaReading, schemaLimits } from './schema-reading.ts';
import { treeOf, Written, writtenSchema } from './written.ts';

/** `const` and `enum`, without the values that the other keywords exclude. */
export function readValues(
  schema: RawSchema,
  types: readonly TypeName[] | undefined,
  path: string,
  reading: SchemaReading,
): RawSchema {
  const keyword = schema.const === undefined ? 'enum' : 'const';
  const at = join(path, keyword);
  const listed = keyword === 'const' ? [schema.const] : schema.enum;
  if (!Array.isArray(listed)) {
    reading.refuse(at, 'must be an array');
    return {};
  }
  const excluded = Every.values(schema.not).filter((each) => each instanceof Excluded);
  const fits = (value: unknown) =>
    (types === undefined || types.some((type) => hasType(value, type))) &&
    (keyword === 'enum' || schema.enum === undefined || includes(schema.enum, value)) &&
    !excluded.some((each) => each.includes(value)) &&
    satisfies(value, schema, path, reading);
  const values = listed.filter(fits);
  if (values.length === 0) {
    reading.impossible(at, 'allows no value');
    return {};
  }
  // Without its values the schema is of any type that they have.
  if (!reading.countValues(values, at)) return {};
  // Templates that show a schema read its type.
  const isOfType = types?.length === 1 && typeof schema.type === 'string';
  const type = isOfType ? { type: types[0] } : {};
  if (keyword === 'const') return { ...type, const: values[0] };
  if (values.length <= schemaLimits.listedValues) return { ...type, enum: values };
  reading.changed = true;
  const texts = new Map(values.map((value) => [JSON.stringify(value), '']));
  return writtenSchema({ ...type, enum: values }, ({ rules }) => treeOf(texts, rules));
}

function includes(list: unknown, value: unknown): boolean {
  return Array.isArray(list) && list.some((each) => isDeepStrictEqual(each, value));
}

/** Whether the keywords of its type allow a value; those of arrays and objects are refused. */
function satisfies(
  value: unknown,
  schema: RawSchema,
  path: string,
  reading: SchemaReading,
): boolean {
  if (typeof value === 'string') return allowsText(schema, value);
  if (typeof value === 'number') return allowsNumber(schema, value);
  const type = Array.isArray(value) ? 'array' : typeof value;
  const restricting = (typeKeywords[type] ?? []).find((keyword) => schema[keyword] !== undefined);
  if (restricting !== undefined) {
    reading.refuse(join(path, restricting), 'cannot be enforced beside listed values');
  }
  return true;
}

/** Whether the length and the patterns of a schema allow a text. */
export function allowsText(schema: RawSchema, text: string): boolean {
  const length = [...text].length;
  const { minLength = 0, maxLength = length } = schema;
  const isPattern = (pattern: unknown) => typeof pattern === 'string';
  return (
    length >= Number(minLength) &&
    length <= Number(maxLength) &&
    Every.values(schema.pattern)
      .filter(isPattern)
      .every((pattern) => patternMatches(pattern, text))
  );
}

function allowsNumber(schema: RawSchema, value: number): boolean {
  const holds = (keyword: string, test: (bound: number) => boolean) =>
    typeof schema[keyword] !== 'number' || test(schema[keyword]);
  return (
    holds('minimum', (bound) => value >= bound) &&
    holds('maximum', (bound) => value <= bound) &&
    holds('exclusiveMinimum', (bound) => value > bound) &&
    holds('exclusiveMaximum', (bound) => value < bound)
  );
}

/** All values that a rewritten schema allows, if it lists them. */
export function listedValues(schema: RawSchema): readonly unknown[] | undefined {
  if (Array.isArray(schema.enum)) return schema.enum;
  if (schema.const instanceof Written) return undefined;
  if ('const' in schema) return [schema.const];
  if (schema.type === 'boolean') return [true, false];
  if (schema.type === 'null') return [null];
  if (schema.type === 'integer' && schema.minimum !== undefined) {
    const [low, high] = [Number(schema.minimum), Number(schema.maximum)];
    if (high - low >= schemaLimits.listedValues) return undefined;
    return Array.from({ length: high - low + 1 }, (_, index) => low + index);
  }
  if (!Array.isArray(schema.anyOf)) return undefined;
  const all = schema.anyOf.map((each) => listedValues(each as RawSchema));
  return all.every((each) => each !== undefined) ? all.flat() : undefined;
}
