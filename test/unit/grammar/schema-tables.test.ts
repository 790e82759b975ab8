/** docs/json-schema.md says what the code does, of every keyword and at every place, and it is true. */
import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import ajvFormats from 'ajv-formats';
import { describe, expect, test } from 'vitest';
import {
  knownKeywords,
  type SchemaExample,
  schemaExamples,
} from '../../../scripts/schema-examples.ts';
import { positions, treatmentOf, withSchemaTables } from '../../../scripts/schema-tables.ts';
import { enforceableSchema, relaxedSchema } from '../../../src/grammar/schema.ts';
import { SeededRandom, testSeed } from '../../../tools/fixtures/seeded-random.ts';
import { sampleSchema } from '../../support/sample-schema.ts';

const examples = schemaExamples.flatMap(([, group]) => group);
const named = examples.map((example) => [`${example.keyword} ${example.use}`, example] as const);

test('the page has the tables that `npm run docs:schemas` writes', () => {
  const page = readFileSync(new URL('../../../docs/json-schema.md', import.meta.url), 'utf8');
  expect(withSchemaTables(page)).toBe(page);
});

test('every keyword has an example', () => {
  expect(new Set(examples.map(({ keyword }) => keyword))).toEqual(new Set(knownKeywords));
});

describe.each(named)('%s', (_name, example) => {
  test('is treated alike at every place', () => {
    for (const strict of [true, false]) {
      const treatments = Object.keys(positions).map((position) =>
        treatmentOf(example, strict, position),
      );
      expect(new Set(treatments)).toEqual(new Set([treatmentOf(example, strict)]));
    }
  });

  test('has values that are valid where it is enforced', () => {
    const isValid = validatorOf(example);
    for (const value of example.forbidden)
      expect(isValid?.(value), JSON.stringify(value)).not.toBe(true);
    const seed = testSeed();
    const random = new SeededRandom(seed);
    for (const strict of [true, false]) {
      const treatment = treatmentOf(example, strict);
      if (treatment.startsWith('refused')) continue;
      const { schema } = strict
        ? enforceableSchema(example.schema)
        : relaxedSchema(example.schema, 'value');
      for (let round = 0; round < 20; round++) {
        const text = sampleSchema(schema, random);
        const value = JSON.parse(text);
        const isHeld = treatment === 'enforced' || treatment === 'tightened';
        if (isHeld) expect(isValid?.(value), `seed ${seed}: ${text}`).not.toBe(false);
      }
    }
  });

  test('is left out, and nothing else, where a strict schema is refused', () => {
    if (!treatmentOf(example, true).startsWith('refused')) return;
    expect(treatmentOf(example, false)).toBe('left out');
    const parameters = {
      type: 'object',
      properties: { a: example.schema, b: { enum: ['x', 'y'] } },
      required: ['b'],
    };
    const { schema } = relaxedSchema(parameters);
    expect(schema).toMatchObject({ required: ['b'], properties: { b: { enum: ['x', 'y'] } } });
    expect(Object.keys(schema.properties as object)).toEqual(['a', 'b']);
  });
});

/** Undefined where ajv does not know the example's keyword. */
function validatorOf({ keyword, use, schema }: SchemaExample): ValidateFunction | undefined {
  const options = { strict: false, multipleOfPrecision: 9, logger: false } as const;
  const isOld = use.includes('draft 7') || keyword === 'additionalItems';
  const ajv = isOld ? new Ajv(options) : new Ajv2020(options);
  ajvFormats.default(ajv);
  const { format, ...others } = schema;
  const isOfFormat = keyword === 'format' && use !== 'any other';
  if (isOfFormat && ajv.formats[String(format)] === undefined) return undefined;
  try {
    return ajv.compile(isOfFormat ? schema : others);
  } catch {
    return undefined;
  }
}

test.each([
  [{ type: 'number', multipleOf: 100, minimum: 1000 }, 100],
  [{ type: 'integer', multipleOf: 10_000 }, 10_000],
  [{ type: 'integer', multipleOf: 7, maximum: 1e20 }, 7],
  [{ type: 'integer', multipleOf: 2.5, exclusiveMinimum: -3 }, 5],
])('multiples of %j are multiples for readers of doubles', (schema, step) => {
  const enforced = enforceableSchema(schema).schema;
  const random = new SeededRandom(testSeed());
  for (let round = 0; round < 500; round++) {
    const text = sampleSchema(enforced, random);
    expect(Math.abs(Number(text)) % step, text).toBe(0);
  }
});
