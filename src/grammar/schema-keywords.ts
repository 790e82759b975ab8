import type { RawSchema } from './schema-merge.ts';

/**
 * Keywords without an effect on which values are valid. By the standard they include content keywords;
 * `discriminator` repeats what `oneOf` says.
 */
export const annotations: ReadonlySet<string> = new Set([
  ...[
    'title',
    'description',
    'default',
    'examples',
    'example',
    'deprecated',
    'readOnly',
    'writeOnly',
  ],
  ...[
    '$schema',
    '$comment',
    '$anchor',
    '$vocabulary',
    '$defs',
    'definitions',
    'discriminator',
    'xml',
  ],
  ...['contentEncoding', 'contentMediaType', 'contentSchema', 'externalDocs'],
]);

/** Supported keywords by type; all other restricting keywords are refused. */
export const typeKeywords: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties', 'unevaluatedProperties'],
  array: ['items', 'prefixItems', 'additionalItems', 'unevaluatedItems', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
};
export const refusedTypeKeywords: Readonly<Record<string, readonly string[]>> = {
  object: [
    'patternProperties',
    'propertyNames',
    'dependencies',
    'dependentRequired',
    'dependentSchemas',
  ],
  array: ['contains', 'minContains', 'maxContains'],
  string: [],
  number: [],
};
export const refusedKeywords = [
  'not',
  'if',
  'then',
  'else',
  '$dynamicRef',
  '$recursiveRef',
] as const;

export const typeNames = [
  'object',
  'array',
  'string',
  'number',
  'integer',
  'boolean',
  'null',
] as const;
export type TypeName = (typeof typeNames)[number];

/** The restricting keywords of a schema; without any there is nothing to merge. */
export function restrictions(schema: RawSchema): RawSchema {
  const known = new Set<string>([
    ...['type', 'nullable', 'enum', 'const', '$ref', 'allOf', 'anyOf', 'oneOf'],
    ...Object.values(typeKeywords).flat(),
    ...Object.values(refusedTypeKeywords).flat(),
    ...refusedKeywords,
    ...['minProperties', 'maxProperties', 'uniqueItems'],
  ]);
  return Object.fromEntries(Object.entries(schema).filter(([key]) => known.has(key)));
}

export function isClosed(schema: RawSchema): boolean {
  return schema.additionalProperties === false || schema.unevaluatedProperties === false;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function hasType(value: unknown, type: TypeName): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isRecord(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

/** The path of a keyword or a property of the schema at `path`. */
export function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}
