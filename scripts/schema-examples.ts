/** Examples of every keyword of JSON schemas: the rows of docs/json-schema.md. */
import { annotations, combiningKeywords, typeKeywords } from '../src/grammar/schema-keywords.ts';
import { formatPatterns, integerFormats } from '../src/grammar/string-formats.ts';

/** A keyword in one use of it. */
export interface SchemaExample {
  readonly keyword: string;
  /** What is special about this use; empty for the usual one. */
  readonly use: string;
  readonly schema: Readonly<Record<string, unknown>>;
  /** Values that this keyword forbids. */
  readonly forbidden: readonly unknown[];
}

type Group = readonly [title: string, examples: readonly SchemaExample[]];

const text = { type: 'string' };
const whole = { type: 'integer' };
const ab = { a: text, b: whole };

function example(
  keyword: string,
  use: string,
  schema: Readonly<Record<string, unknown>>,
  ...forbidden: readonly unknown[]
): SchemaExample {
  return { keyword, use, schema, forbidden };
}

const values: readonly SchemaExample[] = [
  example('type', '', whole, 'a', 1.5),
  example('type', 'a list', { type: ['string', 'null'] }, 1),
  example('type', 'an unknown name', { type: 'text' }),
  example('nullable', 'OpenAPI', { type: 'string', nullable: true }),
  example('enum', '', { enum: ['a', 1, null] }, 'b'),
  example('enum', 'beside other keywords', { enum: ['a', 'abc'], minLength: 2 }, 'a'),
  example('enum', 'more than 64 values', { enum: Array.from({ length: 300 }, (_, i) => i) }, 300),
  example('const', '', { const: { a: [1] } }, { a: [2] }),
];

const combining: readonly SchemaExample[] = [
  example('$ref', 'into the same schema', { $ref: '#/$defs/a', $defs: { a: text } }, 1),
  example(
    '$ref',
    'an `$id` or `$anchor`',
    { $ref: 'node', $defs: { n: { $id: 'node', ...text } } },
    1,
  ),
  example('$ref', 'another document', { $ref: 'https://example.com/schema' }),
  example('$dynamicRef', '', { $dynamicRef: '#a' }),
  example('$recursiveRef', '', { $recursiveRef: '#' }),
  example('allOf', '', { allOf: [whole, { minimum: 3 }, { maximum: 9 }] }, 2),
  example('anyOf', '', { anyOf: [text, whole] }, null),
  example('oneOf', 'schemas that exclude each other', { oneOf: [text, whole] }, null),
  example(
    'oneOf',
    'schemas that overlap',
    {
      oneOf: [
        { type: 'object', properties: ab, required: ['a'] },
        { type: 'object', properties: ab, required: ['b'] },
      ],
    },
    { a: 'x', b: 1 },
  ),
  example(
    'oneOf',
    'overlaps without a schema',
    { oneOf: [{ type: 'number' }, { type: 'number', multipleOf: 3 }] },
    3,
  ),
  example('not', 'types', { not: { type: ['string', 'null'] } }, null),
  example('not', 'listed values', { type: 'string', not: { enum: ['a', 'b'] } }, 'a'),
  example('not', 'a pattern', { type: 'string', not: { pattern: '^x' } }, 'xy'),
  example('not', 'a part of which has no opposite', { not: { type: 'array', contains: text } }, [
    'a',
  ]),
  example('not', 'bounds', { type: 'integer', not: { minimum: 5 } }, 5),
  example(
    'not',
    'properties',
    { type: 'object', properties: ab, not: { required: ['a'] } },
    { a: 'x' },
  ),
  example('not', 'other keywords', { type: 'array', not: { contains: text } }, ['a']),
  example(
    'if',
    'with `then` and `else`',
    {
      type: 'object',
      properties: { kind: { enum: ['a', 'b'] }, ...ab },
      required: ['kind'],
      if: { properties: { kind: { const: 'a' } } },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON schemas.
      then: { required: ['a'] },
      else: { required: ['b'] },
    },
    { kind: 'a' },
  ),
  example(
    'if',
    'without an opposite',
    { type: 'array', if: { contains: text }, else: { minItems: 3 } },
    [1],
  ),
];

const objects: readonly SchemaExample[] = [
  example('properties', '', { type: 'object', properties: ab }, { a: 1 }),
  example(
    'properties',
    '`false`, or `{"not": {}}`',
    { properties: { a: false, b: { not: {} }, c: text } },
    { a: 1 },
  ),
  example('properties', 'more than 100 that are not required', {
    type: 'object',
    properties: Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`p${i}`, whole])),
  }),
  example('required', '', { type: 'object', properties: ab, required: ['b'] }, {}),
  example('required', 'a name that is not listed', { type: 'object', required: ['c'] }, {}),
  example(
    'additionalProperties',
    '`false`',
    { properties: ab, additionalProperties: false },
    { c: 1 },
  ),
  example(
    'additionalProperties',
    'beside `properties`',
    { properties: ab, additionalProperties: whole },
    { c: 'x' },
  ),
  example(
    'additionalProperties',
    'a map',
    { type: 'object', additionalProperties: whole },
    { c: 'x' },
  ),
  example(
    'unevaluatedProperties',
    '',
    { type: 'object', properties: ab, unevaluatedProperties: false },
    { c: 1 },
  ),
  example(
    'patternProperties',
    '',
    { type: 'object', patternProperties: { '^x-': whole }, additionalProperties: false },
    { 'x-a': 'x' },
  ),
  example(
    'patternProperties',
    'other names allowed',
    { type: 'object', patternProperties: { '^x-': whole } },
    { 'x-a': 'x' },
  ),
  example('propertyNames', 'of any string', { type: 'object', propertyNames: { type: 'string' } }),
  example(
    'propertyNames',
    'listed names',
    { type: 'object', propertyNames: { enum: ['a', 'b'] }, additionalProperties: whole },
    { c: 1 },
  ),
  example(
    'propertyNames',
    'patterns and lengths',
    { type: 'object', propertyNames: { pattern: '^[a-z]+$', maxLength: 5 } },
    { A: 1 },
  ),
  example(
    'minProperties',
    'listed properties',
    { type: 'object', properties: ab, minProperties: 1 },
    {},
  ),
  example('minProperties', 'a map, 1', { type: 'object', minProperties: 1 }, {}),
  example('minProperties', 'a map, 2 and more', { type: 'object', minProperties: 2 }, { a: 1 }),
  example(
    'maxProperties',
    'listed properties',
    { type: 'object', properties: ab, maxProperties: 1 },
    { a: 'x', b: 1 },
  ),
  example('maxProperties', 'a map', { type: 'object', maxProperties: 1 }, { a: 1, b: 1 }),
  example(
    'dependentRequired',
    '',
    { type: 'object', properties: ab, dependentRequired: { a: ['b'] } },
    { a: 'x' },
  ),
  example(
    'dependentSchemas',
    '',
    { type: 'object', properties: ab, dependentSchemas: { a: { required: ['b'] } } },
    { a: 'x' },
  ),
  example(
    'dependencies',
    'draft 7',
    { type: 'object', properties: ab, dependencies: { a: ['b'] } },
    { a: 'x' },
  ),
];

const arrays: readonly SchemaExample[] = [
  example('items', '', { type: 'array', items: whole }, ['a']),
  example('items', 'a list (draft 7)', {
    type: 'array',
    items: [text, whole],
    additionalItems: false,
  }),
  example('additionalItems', 'draft 7', {
    type: 'array',
    items: [text],
    additionalItems: false,
    minItems: 1,
  }),
  example('prefixItems', '', { type: 'array', prefixItems: [text, whole] }, ['a', 'b']),
  example(
    'unevaluatedItems',
    '',
    { type: 'array', prefixItems: [text], unevaluatedItems: false, minItems: 1 },
    ['a', 1],
  ),
  example('minItems', '', { type: 'array', minItems: 2 }, [1]),
  example('minItems', 'of a tuple', { type: 'array', prefixItems: [text], minItems: 3 }, ['a']),
  example('maxItems', 'up to 1990', { type: 'array', maxItems: 2 }, [1, 2, 3]),
  example('maxItems', 'above', { type: 'array', items: whole, maxItems: 100_000 }),
  example(
    'uniqueItems',
    'listed values',
    { type: 'array', items: { enum: ['a', 'b', 'c'] }, uniqueItems: true },
    ['a', 'a'],
  ),
  example('uniqueItems', 'other values', { type: 'array', items: text, uniqueItems: true }, [
    'a',
    'a',
  ]),
  example('contains', '', { type: 'array', items: whole, contains: { const: 1 } }, [2]),
  example('minContains', '', { type: 'array', contains: { const: 1 }, minContains: 2 }, [1]),
  example('maxContains', '', { type: 'array', contains: { const: 1 }, maxContains: 2 }, [1, 1, 1]),
];

const strings: readonly SchemaExample[] = [
  example('minLength', '', { type: 'string', minLength: 2 }, 'a'),
  example('maxLength', 'up to 65,536', { type: 'string', maxLength: 2083 }),
  example('maxLength', 'above', { type: 'string', maxLength: 1_000_000 }),
  example('pattern', '', { type: 'string', pattern: '^[A-Z]{2,3}-\\d+$' }, 'a'),
  example(
    'pattern',
    'beside a length',
    { type: 'string', pattern: '^[a-z]+$', minLength: 2, maxLength: 5 },
    'a',
  ),
  example(
    'pattern',
    'of several parts, beside a length',
    { type: 'string', pattern: '^[a-z]+-[0-9]+$', maxLength: 9 },
    'abcdefgh-1',
  ),
  example(
    'pattern',
    'lookaheads',
    { type: 'string', pattern: '^(?=.*\\d)(?!.*--)[a-z\\d-]{3,}$' },
    'abc',
  ),
  example(
    'pattern',
    'beside `format`',
    { type: 'string', pattern: '^a@.*$', format: 'email' },
    'b@c.de',
  ),
  example(
    'pattern',
    'back references, lookbehinds, `\\b`',
    { type: 'string', pattern: '^(a|b)\\1$' },
    'ab',
  ),
  ...[...formatPatterns.keys()].map((format) =>
    example('format', `\`${format}\``, { type: 'string', format }, '%'),
  ),
  example('format', 'any other', { type: 'string', format: 'regex' }),
];

const numbers: readonly SchemaExample[] = [
  example('minimum', '', { type: 'number', minimum: 0.5 }, 0.4),
  example('maximum', '', { type: 'number', maximum: -1 }, 0),
  example('exclusiveMinimum', '', { type: 'number', exclusiveMinimum: 0, maximum: 1 }, 0),
  example('exclusiveMinimum', 'a boolean (draft 4)', {
    type: 'integer',
    minimum: 1,
    exclusiveMinimum: true,
  }),
  example('exclusiveMaximum', '', { type: 'integer', minimum: 1, exclusiveMaximum: 5 }, 5),
  example(
    'multipleOf',
    'up to 3 digits, and powers of ten',
    { type: 'number', multipleOf: 0.25 },
    0.3,
  ),
  example(
    'multipleOf',
    'few multiples between bounds',
    { type: 'integer', multipleOf: 12_345, minimum: 1, maximum: 99_999 },
    1,
  ),
  example('multipleOf', 'others', { type: 'integer', multipleOf: 12_345 }, 1),
  ...[...integerFormats.keys()].map((format) =>
    example('format', `\`${format}\``, { type: 'integer', format }),
  ),
];

export const schemaExamples: readonly Group[] = [
  ['Values', values],
  ['Combinations', combining],
  ['Objects', objects],
  ['Arrays', arrays],
  ['Strings', strings],
  ['Numbers', numbers],
];

/** Keywords that the code knows, and that need a row. */
export const knownKeywords: readonly string[] = [
  ...['type', 'nullable', 'enum', 'const', ...combiningKeywords],
  ...Object.values(typeKeywords).flat(),
].filter((keyword) => keyword !== 'then' && keyword !== 'else');

/** Keywords without an effect on values. */
export const annotationKeywords: readonly string[] = [...annotations];
