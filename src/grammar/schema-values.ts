/** Listed values of a schema. */
import { isDeepStrictEqual } from 'node:util';
import { hasType, join, type TypeName, typeKeywords } from './schema-keywords.ts';
import type { RawSchema } from './schema-merge.ts';
import type { SchemaReading } from './schema-reading.ts';

/** `const` and `enum`, without the values that a `type` beside them excludes. */
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
  const fits = (value: unknown) =>
    (types === undefined || types.some((type) => hasType(value, type))) &&
    (keyword === 'enum' || schema.enum === undefined || includes(schema.enum, value));
  const values = listed.filter(fits);
  reading.countValues(values, at);
  if (values.length === 0) {
    reading.refuse(at, 'allows no value');
    return {};
  }
  const restricting = Object.keys(schema).find((key) =>
    Object.values(typeKeywords).some((keywords) => keywords.includes(key)),
  );
  if (restricting !== undefined) {
    reading.refuse(join(path, restricting), `cannot be enforced beside \`${keyword}\``);
  }
  // Templates that show a schema read its type.
  const isOfType = types?.length === 1 && typeof schema.type === 'string';
  const type = isOfType && { type: schema.type };
  return { ...type, ...(keyword === 'const' ? { const: values[0] } : { enum: values }) };
}

function includes(list: unknown, value: unknown): boolean {
  return Array.isArray(list) && list.some((each) => isDeepStrictEqual(each, value));
}
