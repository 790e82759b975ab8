/** Schemas as libraries write them are accepted, and values of their grammars are valid by the schemas themselves. */
import { describe, expect, test } from 'vitest';
import { SchemaProblems } from '../../../src/grammar/problem.ts';
import { enforceableSchema, relaxedSchema } from '../../../src/grammar/schema.ts';
import { SeededRandom, testSeed } from '../../../tools/fixtures/seeded-random.ts';
import { isLong } from '../../support/long.ts';
import { sampleSchema } from '../../support/sample-schema.ts';
import { schemaValidator } from '../../support/schema-validator.ts';
import {
  pydanticSchemas,
  typeboxSchemas,
  zod3Schemas,
  zodSchemas,
} from '../../support/sdk-schemas.ts';

/** Values of each schema. */
const rounds = isLong ? 200 : 8;

const zod = zodSchemas();
const libraries: Readonly<Record<string, ReadonlyMap<string, object>>> = {
  'zod 4': zod.schemas,
  'zod 3': zod3Schemas(),
  TypeBox: typeboxSchemas(),
  Pydantic: pydanticSchemas(),
};

const sets = 'uniqueItems can be enforced only for listed values: a grammar cannot compare items';
const noJsonType = 'type must be of object, array, string, number, integer, boolean, null';

/** What each library writes that no grammar can enforce. */
const refused: Readonly<Record<string, readonly string[]>> = {
  'zod 4': ['never (output): not leaves no value', 'never (input): not leaves no value'],
  // Written as two patterns that no string matches.
  'zod 3': ['jsonSchema7', 'jsonSchema2019-09', 'openApi3', 'openAi'].map(
    (target) => `cidr (${target}): allOf.pattern allows no string that can be proved to fit`,
  ),
  TypeBox: [`legacy date: ${noJsonType}`, `legacy regexp: ${noJsonType}`],
  Pydantic: [
    `pydantic.types.conset: ${sets}`,
    `set: ${sets}`,
    `set[int]: ${sets}`,
    `frozenset[str]: ${sets}`,
    `closed model: properties.tags.${sets}`,
  ],
};

test('every export of zod 4 is a schema here, or has no JSON schema', () => {
  expect(zod.left).toEqual([
    ...['bigint', 'custom', 'date', 'int64', 'nan', 'properties', 'symbol', 'uint64', 'undefined'],
    'void',
  ]);
  expect(zod.schemas.size).toBeGreaterThan(150);
});

describe.each(Object.entries(libraries))('%s', (library, schemas) => {
  test('every schema is accepted unless it is strict', () => {
    for (const schema of schemas.values()) {
      const { schema: value } = relaxedSchema(schema, 'value');
      expect(Object.keys(value)).not.toEqual([]);
      const parameters = { type: 'object', properties: { value: schema }, required: ['value'] };
      expect(relaxedSchema(parameters).schema).toMatchObject({ required: ['value'] });
    }
  });

  test('a strict schema is refused only where no grammar can', () => {
    const problems = [...schemas].flatMap(([name, schema]) =>
      problemsOf(schema).map((problem) => `${name}: ${problem}`),
    );
    expect(problems).toEqual(refused[library]);
  });

  test('all values of a strict schema are valid', () => {
    const seed = testSeed();
    const random = new SeededRandom(seed);
    let count = 0;
    for (const [name, schema] of schemas) {
      const isValid = schemaValidator(schema);
      const enforced = enforcedOrUndefined(schema);
      if (enforced === undefined || isValid === undefined) continue;
      for (let round = 0; round < rounds; round++) {
        const text = sampleSchema(enforced, random);
        const told = `seed ${seed}, ${name}, ${JSON.stringify(schema).slice(0, 500)}: ${text}`;
        expect(isValid(JSON.parse(text)), told).toBe(true);
        count += 1;
      }
    }
    console.log(`seed ${seed}: ${count} values of ${library} are valid`);
    expect(count).toBeGreaterThan(10 * rounds);
  });
});

function problemsOf(schema: object): string[] {
  try {
    enforceableSchema(schema);
    return [];
  } catch (error) {
    if (!(error instanceof SchemaProblems)) throw error;
    return error.problems.map(({ path, message }) => `${path} ${message}`);
  }
}

function enforcedOrUndefined(schema: object) {
  return problemsOf(schema).length === 0 ? enforceableSchema(schema).schema : undefined;
}
