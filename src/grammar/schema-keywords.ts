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

/** The restricting keywords of each type. */
export const typeKeywords: Readonly<Record<string, readonly string[]>> = {
  object: [
    ...['properties', 'required', 'additionalProperties', 'unevaluatedProperties'],
    ...['patternProperties', 'propertyNames', 'minProperties', 'maxProperties'],
    ...['dependencies', 'dependentRequired', 'dependentSchemas'],
  ],
  array: [
    ...['items', 'prefixItems', 'additionalItems', 'unevaluatedItems', 'minItems', 'maxItems'],
    ...['uniqueItems', 'contains', 'minContains', 'maxContains'],
  ],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
};

/** Keywords of any type that combine or choose schemas. */
export const combiningKeywords = [
  ...['$ref', 'allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else'],
  ...['$dynamicRef', '$recursiveRef'],
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

/** Other names of types: of Python, of Gemini's API and of function-calling data sets. */
const typeAliases: Readonly<Record<string, TypeName>> = {
  ...{ int: 'integer', long: 'integer', float: 'number', double: 'number', decimal: 'number' },
  ...{ bool: 'boolean', str: 'string', dict: 'object', map: 'object', list: 'array' },
  ...{ tuple: 'array', none: 'null' },
};

/** The type that a schema names; undefined for an unknown one. */
export function toTypeName(value: unknown): TypeName | undefined {
  if (typeof value !== 'string') return undefined;
  const name = value.toLowerCase();
  return typeNames.find((type) => type === name) ?? typeAliases[name];
}

/** The restricting keywords of a schema; without any there is nothing to merge. */
export function restrictions(schema: RawSchema): RawSchema {
  const known = new Set<string>([
    ...['type', 'nullable', 'enum', 'const'],
    ...Object.values(typeKeywords).flat(),
    ...combiningKeywords,
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
