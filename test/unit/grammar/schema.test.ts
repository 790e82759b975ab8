import { describe, expect, test } from 'vitest';
import { GrammarProblem, type SchemaProblems } from '../../../src/grammar/problem.ts';
import { enforceableSchema, relaxedSchema } from '../../../src/grammar/schema.ts';

const text = { type: 'string' } as const;
const whole = 999_999_999_999_999;

function problem(schema: object): GrammarProblem {
  try {
    enforceableSchema(schema);
  } catch (error) {
    if (error instanceof GrammarProblem) return error;
    throw error;
  }
  throw new Error('the schema was accepted');
}

describe('a schema that can be enforced as it is', () => {
  test.each([
    [{ type: 'object', properties: { a: text }, required: ['a'], additionalProperties: false }],
    [{ type: 'object', properties: { a: text } }],
    [{ type: 'object' }],
    [{ type: 'object', additionalProperties: false }],
    [{ type: 'object', additionalProperties: { type: 'boolean' } }],
    [{ type: 'array', items: { type: 'null' }, minItems: 1, maxItems: 500 }],
    [{ type: 'array' }],
    [{ type: 'array', prefixItems: [text, { type: 'number' }] }],
    [{ type: 'integer', minimum: -5, maximum: 5 }],
    [{ const: { a: [1, null] } }],
    [{ enum: ['a', 1, null] }],
    [{ anyOf: [text, { type: 'null' }] }],
  ])('%j stays', (schema) => {
    expect(enforceableSchema(schema)).toMatchObject({ schema, changed: false });
    const noted = {
      ...schema,
      title: 'T',
      description: 'd',
      default: 1,
      examples: [],
      $schema: 'x',
    };
    expect(enforceableSchema(noted)).toMatchObject({ schema, changed: false });
  });
});

describe('a schema that is rewritten', () => {
  const any = ['object', 'array', 'string', 'number', 'boolean', 'null'].map((type) => ({ type }));

  test.each([
    ['any value', {}, { anyOf: any }],
    [
      'properties that are not listed',
      { type: 'object', properties: { a: text }, additionalProperties: text },
      { type: 'object', properties: { a: text }, additionalProperties: false },
    ],
    [
      'a name that is required and not listed',
      { type: 'object', required: ['b'] },
      { type: 'object', properties: { b: {} }, required: ['b'] },
    ],
    [
      'a property that may not be there',
      { properties: { a: text, b: false } },
      { type: 'object', properties: { a: text } },
    ],
    ['a list of types', { type: ['string', 'null'] }, { anyOf: [text, { type: 'null' }] }],
    ['a list with integer and number', { type: ['integer', 'number'] }, { type: 'number' }],
    [
      'nullable',
      { type: 'boolean', nullable: true },
      { anyOf: [{ type: 'boolean' }, { type: 'null' }] },
    ],
    [
      'values of another type',
      { type: 'string', enum: ['a', 1, null] },
      { type: 'string', enum: ['a'] },
    ],
    [
      'one bound of an integer',
      { type: 'integer', minimum: 105 },
      { type: 'integer', minimum: 105, maximum: whole },
    ],
    [
      'bounds that exclude',
      { type: 'integer', exclusiveMinimum: 1.5, exclusiveMaximum: 9 },
      { type: 'integer', minimum: 2, maximum: 8 },
    ],
    [
      'bounds that are fractions',
      { type: 'integer', minimum: 1.5, maximum: 3.5 },
      { type: 'integer', minimum: 2, maximum: 3 },
    ],
    [
      'two lower bounds',
      { type: 'integer', minimum: 1, exclusiveMinimum: 4, maximum: 9 },
      { type: 'integer', minimum: 5, maximum: 9 },
    ],
    ['multiples of one', { type: 'number', multipleOf: 1 }, { type: 'integer' }],
    [
      'items of the older form',
      { type: 'array', items: [text], additionalItems: false },
      { type: 'array', prefixItems: [text] },
    ],
    ['no items', { type: 'array', items: false }, { type: 'array', items: {}, maxItems: 0 }],
    ['allOf of one', { allOf: [text] }, text],
    [
      'allOf of objects',
      {
        allOf: [
          { type: 'object', properties: { a: text }, required: ['a'] },
          { properties: { b: text } },
        ],
      },
      { type: 'object', properties: { a: text, b: text }, required: ['a'] },
    ],
    [
      'allOf beside keywords',
      { type: 'integer', minimum: 1, allOf: [{ minimum: 3, maximum: 9 }] },
      { type: 'integer', minimum: 3, maximum: 9 },
    ],
    [
      'anyOf beside keywords',
      { type: 'object', properties: { a: text }, anyOf: [{ required: ['a'] }, {}] },
      {
        anyOf: [
          { type: 'object', properties: { a: text }, required: ['a'] },
          { type: 'object', properties: { a: text } },
        ],
      },
    ],
    [
      'oneOf of types',
      { oneOf: [text, { type: 'integer' }] },
      { anyOf: [text, { type: 'integer' }] },
    ],
    [
      'oneOf of tagged objects',
      {
        oneOf: ['x', 'y'].map((tag) => ({
          type: 'object',
          properties: { tag: { const: tag } },
          required: ['tag'],
        })),
      },
      {
        anyOf: ['x', 'y'].map((tag) => ({
          type: 'object',
          properties: { tag: { const: tag } },
          required: ['tag'],
        })),
      },
    ],
    [
      'counts that always hold',
      {
        type: 'object',
        properties: { a: text },
        required: ['a'],
        minProperties: 1,
        maxProperties: 3,
      },
      { type: 'object', properties: { a: text }, required: ['a'] },
    ],
    [
      'types that are not said',
      { properties: { a: { items: text } } },
      { type: 'object', properties: { a: { type: 'array', items: text } } },
    ],
  ])('%s', (_name, schema, expected) => {
    const result = enforceableSchema(schema);
    expect(result.schema).toEqual(expected);
    expect(result.changed).toBe(true);
  });

  test('strings with a length or format come to patterns', () => {
    const pattern = expect.stringMatching(/^\^.*\$$/);
    for (const schema of [{ format: 'date' }, { type: 'string', pattern: 'x', minLength: 1 }]) {
      expect(enforceableSchema(schema).schema).toEqual({ type: 'string', pattern });
    }
    // Chat formats that write strings raw look at lengths that stand alone.
    for (const lengths of [{ minLength: 1 }, { minLength: 2, maxLength: 9 }]) {
      expect(enforceableSchema(lengths).schema).toEqual({ type: 'string', pattern, ...lengths });
    }
  });

  test('references get names of their own, and may go in circles', () => {
    const tree = {
      $ref: '#/$defs/a~1b',
      $defs: {
        'a/b': { type: 'object', properties: { left: { $ref: '#/$defs/a~1b' } } },
      },
    };
    const { schema } = enforceableSchema(tree);
    const reference = schema.$ref as string;
    const [name = ''] = Object.keys(schema.$defs as object);
    expect(reference).toBe(`#/$defs/${name}`);
    expect(schema.$defs).toEqual({
      [name]: { type: 'object', properties: { left: { $ref: reference } } },
    });
  });
});

describe('a schema that cannot be enforced', () => {
  const deep = (levels: number): object =>
    levels === 0 ? text : { type: 'array', items: deep(levels - 1) };
  const properties = (count: number, value: unknown = text) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, value]));

  test.each([
    [{ not: {} }, 'not'],
    [{ type: 'array', not: { contains: text } }, 'not'],
    [{ if: { contains: text }, else: { minItems: 3 } }, 'if'],
    [{ $dynamicRef: '#a' }, '$dynamicRef'],
    [{ type: 'object', minProperties: 2 }, 'minProperties'],
    [{ type: 'object', maxProperties: -1 }, 'maxProperties'],
    [{ type: 'object', properties: { a: text }, minProperties: 2 }, 'minProperties'],
    [{ type: 'object', patternProperties: { '^(?<=a)': text } }, 'patternProperties.^(?<=a)'],
    [{ type: 'object', propertyNames: { type: 'integer' } }, 'propertyNames'],
    [{ type: 'object', required: 'a' }, 'required'],
    [{ type: 'object', required: ['a'], additionalProperties: false }, 'required'],
    [{ type: 'object', properties: { a: false }, required: ['a'] }, 'properties.a'],
    [{ type: 'object', properties: [] }, 'properties'],
    [{ type: 'array', uniqueItems: true }, 'uniqueItems'],
    [{ type: 'array', uniqueItems: true, items: { enum: [1, 2] }, minItems: 3 }, 'minItems'],
    [{ type: 'array', prefixItems: [text], contains: text }, 'contains'],
    [{ type: 'array', contains: text, minContains: 3, maxItems: 2 }, 'contains'],
    [{ type: 'array', minItems: 1e9 }, 'minItems'],
    [{ type: 'array', minItems: -1 }, 'minItems'],
    [{ type: 'array', minItems: 2, maxItems: 1 }, 'minItems'],
    [{ type: 'array', prefixItems: [text], items: false, minItems: 2 }, 'minItems'],
    [{ type: 'array', items: false, minItems: 1 }, 'minItems'],
    [{ type: 'string', minLength: 1e6 }, 'minLength'],
    [{ type: 'string', maxLength: '5' }, 'maxLength'],
    [{ type: 'string', minLength: 5, maxLength: 4 }, 'minLength'],
    [{ type: 'string', format: 5 }, 'format'],
    [{ type: 'string', pattern: '^(a)\\1$' }, 'pattern'],
    [{ type: 'string', pattern: '(' }, 'pattern'],
    [{ type: 'string', pattern: 5 }, 'pattern'],
    [{ type: 'string', pattern: '^a$', minLength: 2 }, 'minLength'],
    [{ type: 'number', multipleOf: 0.123457 }, 'multipleOf'],
    [{ type: 'number', multipleOf: 0 }, 'multipleOf'],
    [{ type: 'integer', multipleOf: 7, minimum: 1, maximum: 6 }, 'multipleOf'],
    [{ type: 'integer', minimum: 5, maximum: 4 }, 'minimum'],
    [{ type: 'number', minimum: 0.2, exclusiveMaximum: 0.2 }, 'minimum'],
    [{ type: 'integer', exclusiveMinimum: true }, 'exclusiveMinimum'],
    [{ type: 'text' }, 'type'],
    [{ type: [] }, 'type'],
    [{ enum: [] }, 'enum'],
    [{ enum: 'x' }, 'enum'],
    [{ type: 'string', enum: [1] }, 'enum'],
    [{ type: 'string', enum: ['a'], minLength: 2 }, 'enum'],
    [{ enum: ['x'.repeat(600_000)] }, 'enum'],
    [{ anyOf: [] }, 'anyOf'],
    [{ anyOf: [{ anyOf: [{ not: {} }] }] }, 'anyOf'],
    [{ oneOf: [{ type: 'number' }, { type: 'number', multipleOf: 3 }] }, 'oneOf'],
    [{ oneOf: [{ type: 'integer' }, { type: 'number' }] }, 'oneOf'],
    [{ allOf: [] }, 'allOf'],
    [{ allOf: [text, { type: 'number' }] }, 'allOf'],
    [{ allOf: [{ pattern: '^a$' }, { pattern: '^b$' }] }, 'allOf.pattern'],
    [{ allOf: [{ contains: text }, { contains: { const: 1 } }] }, 'allOf'],
    [{ $ref: 'https://example.com/schema' }, '$ref'],
    [{ $ref: '#/$defs/none' }, '$ref'],
    [{ $ref: '#' }, '$ref'],
    [{ $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } }, '$ref'],
    [
      {
        $ref: '#/$defs/a',
        $defs: { a: { type: 'object', properties: { a: { $ref: '#/$defs/a' } }, required: ['a'] } },
      },
      '$ref',
    ],
    [{ properties: { a: 'text' } }, 'properties.a'],
    [{ properties: { ['x'.repeat(300)]: text } }, 'properties'],
    [
      { properties: properties(50, { type: 'string', pattern: 'x'.repeat(900) }) },
      'properties.p22.pattern',
    ],
    [{ properties: { a: { default: 'x'.repeat(1_100_000) } } }, ''],
  ] as const)('%j', (schema, path) => {
    expect(problem(schema).path).toBe(path);
    // A schema that is only shown is never refused.
    expect(() => relaxedSchema(schema)).not.toThrow();
    expect(relaxedSchema(schema).changed).toBe(true);
  });

  test('because it is too deep', () => {
    expect(problem(deep(40)).message).toContain('32 levels');
  });
});

describe('a schema made to take long', () => {
  const levels = Array.from({ length: 30 }, (_, level) => `d${level}`);
  const doubling = (keyword: string, more: object = {}) => ({
    ...more,
    $ref: '#/$defs/d0',
    $defs: Object.fromEntries(
      levels.map((name, level) => {
        const next = { $ref: `#/$defs/d${level + 1}` };
        const last = level + 1 === levels.length;
        return [name, last ? text : { ...more, [keyword]: [next, { ...next, title: 'again' }] }];
      }),
    ),
  });

  /** Each is met when what it refers to is known, so that no depth grows. */
  const known = {
    properties: Object.fromEntries(levels.map((name) => [name, { $ref: `#/$defs/${name}` }])),
    $defs: Object.fromEntries(
      levels.map((name, level) => {
        const before = { $ref: `#/$defs/d${level - 1}` };
        return [name, level === 0 ? text : { anyOf: [before, { ...before, title: 'again' }] }];
      }),
    ),
  };

  test.each([
    ['references that double by allOf', doubling('allOf', { minLength: 1 })],
    ['references that double by anyOf', doubling('anyOf', { minLength: 1 })],
    ['references that double by oneOf', doubling('oneOf')],
    ['references to what doubles already', known],
    ['a long list of long names', { required: Array.from({ length: 5000 }, (_, i) => `n${i}`) }],
    ['many branches', { oneOf: Array.from({ length: 256 }, (_, i) => ({ const: i })) }],
    ['a pattern of many choices', { pattern: `^(${'a|'.repeat(400)}b){0,50}$` }],
  ])(
    'is soon decided: %s',
    (_name, schema) => {
      relaxedSchema(schema);
      try {
        enforceableSchema(schema);
      } catch (error) {
        expect(error).toBeInstanceOf(GrammarProblem);
      }
    }, // Without its limits this would take hours; the time is against a test that hangs.
    60_000,
  );
});

test('everything that a strict schema cannot have is named at once', () => {
  const schema = {
    properties: {
      a: { type: 'array', uniqueItems: true },
      b: { type: 'string', pattern: '^(a)\\1$' },
      c: { type: 'text' },
    },
  };
  try {
    enforceableSchema(schema);
    expect.unreachable();
  } catch (error) {
    const { problems } = error as SchemaProblems;
    expect(problems.map(({ path }) => path)).toEqual([
      'properties.a.uniqueItems',
      'properties.b.pattern',
      'properties.c.type',
    ]);
  }
});

test('a keyword that is null is absent, and a map without names has none', () => {
  const schema = { type: 'array', minItems: null, maxItems: null, items: null, uniqueItems: null };
  expect(enforceableSchema(schema).schema).toEqual({ type: 'array' });
  expect(enforceableSchema({ type: 'object', properties: null }).schema).toEqual({
    type: 'object',
  });
  expect(enforceableSchema({ const: null }).schema).toEqual({ const: null });
});

describe('a schema beyond its budget keeps names, types, listed values and required properties', () => {
  const kind = { type: 'string', enum: ['x', 'y'] };
  test.each([
    ['lengths', (i: number) => ({ type: 'string', maxLength: 2000 + i }), 5],
    ['many lengths', (i: number) => ({ type: 'string', maxLength: 2000 + i }), 95],
    ['counts', () => ({ type: 'array', maxItems: 1000 }), 60],
    ['patterns', (i: number) => ({ type: 'string', pattern: 'x'.repeat(900 + i) }), 60],
    ['more properties than can be told apart', () => ({ type: 'boolean' }), 400],
  ])('%s', (_name, schemaOf, count) => {
    const names = Array.from({ length: count }, (_, index) => `p${index}`);
    const properties = Object.fromEntries(names.map((name, index) => [name, schemaOf(index)]));
    const { schema } = relaxedSchema({
      type: 'object',
      properties: { ...properties, kind },
      required: ['kind', 'p0'],
    });
    expect(schema.required).toEqual(['kind', 'p0']);
    const read = schema.properties as Record<string, { type: string }>;
    expect(Object.keys(read)).toEqual([...names, 'kind']);
    expect(read.kind).toEqual(kind);
    for (const name of names) expect(read[name]?.type).toBe(schemaOf(0).type);
  });

  test('as a level too deep is any value', () => {
    let deep: object = { type: 'string' };
    for (let level = 0; level < 40; level++) deep = { type: 'object', properties: { deep } };
    const { schema } = relaxedSchema({ properties: { deep, kind }, required: ['kind'] });
    expect(schema).toMatchObject({ properties: { kind }, required: ['kind'] });
  });

  test.each([
    ['that needs itself', { type: 'object', properties: { next: {} }, required: ['next'] }],
    ['that is itself', { $ref: '#/$defs/N' }],
  ])('a definition %s is any value', (_name, definition) => {
    const own = structuredClone(definition) as { properties?: { next: object } };
    if (own.properties !== undefined) own.properties.next = { $ref: '#/$defs/N' };
    const { schema, changed } = relaxedSchema({
      type: 'object',
      properties: { kind, next: { $ref: '#/$defs/N' } },
      required: ['kind'],
      $defs: { N: own },
    });
    expect(changed).toBe(true);
    expect(schema).toMatchObject({ properties: { kind }, required: ['kind'] });
    const reference = (schema.properties as { next: { $ref: string } }).next.$ref;
    expect((schema.$defs as Record<string, object>)[reference.slice(8)]).toEqual({});
  });
});

describe('an object that lists no properties', () => {
  const text = { type: 'string' };
  test.each([
    ['with values of one schema', { properties: {}, additionalProperties: text }, text],
    ['with any values', { properties: {}, additionalProperties: true }, undefined],
    ['with any values, said by a schema', { properties: {}, additionalProperties: {} }, {}],
  ])('is a map %s', (_name, said, value) => {
    const expected = {
      type: 'object',
      ...(value !== undefined && { additionalProperties: value }),
    };
    const schema = { type: 'object', ...said };
    expect(relaxedSchema(schema, 'value').schema).toEqual(expected);
    expect(relaxedSchema(schema).schema).toEqual(expected);
    expect(enforceableSchema(schema).schema).toEqual(expected);
  });

  test('is a map of patterns', () => {
    const schema = { type: 'object', properties: {}, patternProperties: { '^x': text } };
    expect(JSON.stringify(enforceableSchema(schema).schema)).toContain('gbnf');
  });

  test('has none as the arguments of a function, and any elsewhere', () => {
    const schema = { type: 'object', properties: {} };
    const none = { ...schema, additionalProperties: false };
    expect(relaxedSchema(schema).schema).toEqual(schema);
    expect(relaxedSchema(schema, 'value').schema).toEqual({ type: 'object' });
    expect(relaxedSchema({ type: 'object', properties: { a: schema } }).schema).toEqual({
      type: 'object',
      properties: { a: { type: 'object' } },
    });
    expect(relaxedSchema(none, 'value').schema).toEqual(none);
  });
});

test('a request cannot bring a grammar of its own', () => {
  const schema = { const: { '\uf8ffgbnf': 'root ::= root' } };
  expect(() => enforceableSchema(schema)).toThrow('reserved');
  expect(relaxedSchema(schema).schema).toEqual({ type: 'object' });
});
