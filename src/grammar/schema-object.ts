/** Objects of a schema, as llama.cpp's converter enforces them exactly. */
import { GrammarProblem } from './problem.ts';
import { isClosed, isRecord, join } from './schema-keywords.ts';
import type { RawSchema } from './schema-merge.ts';
import { type NodeReader, schemaLimits } from './schema-reading.ts';

/** An object with the listed properties, or with values of one schema. */
export function readObject(
  schema: RawSchema,
  path: string,
  depth: number,
  reader: NodeReader,
): RawSchema {
  const properties = readProperties(schema, path, depth, reader);
  const required = readRequired(schema, properties, { path, depth, reader });
  const optionalCount = Object.keys(properties).length - required.length;
  if (optionalCount > schemaLimits.optionalProperties) {
    throw new GrammarProblem(
      join(path, 'properties'),
      `has ${optionalCount} properties that are not required, at most ${schemaLimits.optionalProperties} can be enforced`,
    );
  }
  const isListed = schema.properties !== undefined || required.length > 0;
  for (const [keyword, holds] of [
    ['minProperties', (count: number) => required.length >= count],
    ['maxProperties', (count: number) => Object.keys(properties).length <= count],
  ] as const) {
    const count = schema[keyword];
    const isBounded = isListed || isClosed(schema);
    if (count === undefined || (typeof count === 'number' && isBounded && holds(count))) continue;
    reader.reading.refuse(join(path, keyword), 'cannot be enforced');
  }
  const listed = {
    ...(isListed && { properties }),
    ...(required.length > 0 && { required }),
  };
  if (isListed || isClosed(schema)) {
    // llama.cpp's further names may be invalid JSON, or escaped forms of listed names.
    const isSaid = isClosed(schema) || schema.additionalProperties !== undefined;
    return { type: 'object', ...listed, ...(isSaid && { additionalProperties: false }) };
  }
  const additional = schema.additionalProperties;
  if (typeof additional !== 'object') return { type: 'object' };
  return {
    type: 'object',
    additionalProperties: reader.node(additional, join(path, 'additionalProperties'), depth + 1),
  };
}

function readProperties(
  schema: RawSchema,
  path: string,
  depth: number,
  reader: NodeReader,
): Record<string, RawSchema> {
  const raw = schema.properties ?? {};
  const at = join(path, 'properties');
  if (!isRecord(raw)) {
    reader.reading.refuse(at, 'must be an object of schemas');
    return {};
  }
  const required = Array.isArray(schema.required) ? schema.required : [];
  const entries: [string, RawSchema][] = [];
  for (const [name, property] of Object.entries(raw)) {
    if (name.length > schemaLimits.nameLength) {
      throw new GrammarProblem(at, `has a name of more than ${schemaLimits.nameLength} characters`);
    }
    // A property that allows no value must be absent.
    if (property === false && !required.includes(name)) {
      reader.reading.changed = true;
      continue;
    }
    entries.push([name, reader.node(property, join(at, name), depth + 1)]);
  }
  return Object.fromEntries(entries);
}

/** The required names; unlisted ones are added to `properties`. */
function readRequired(
  schema: RawSchema,
  properties: Record<string, RawSchema>,
  at: { readonly path: string; readonly depth: number; readonly reader: NodeReader },
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
    const additional = schema.additionalProperties ?? true;
    if (additional === false || name.length > schemaLimits.nameLength) {
      reader.reading.refuse(where, `names \`${name.slice(0, 40)}\`, which no property allows`);
      continue;
    }
    properties[name] = reader.node(additional, join(path, 'additionalProperties'), depth + 1);
    reader.reading.changed = true;
  }
  return names.filter((name) => Object.hasOwn(properties, name));
}
