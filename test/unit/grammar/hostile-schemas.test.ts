/** Schemas and grammars that take a time which grows with the square of their size, or worse, unless it is bounded. */
import { describe, expect, test } from 'vitest';
import { withWork } from '../../../src/grammar/analysis-work.ts';
import { checkGrammar } from '../../../src/grammar/gbnf.ts';
import { GrammarProblem } from '../../../src/grammar/problem.ts';
import { enforceableSchema, relaxedSchema } from '../../../src/grammar/schema.ts';
import { isLark } from '../../../src/grammar/text-grammar.ts';

const names = (count: number, name = 'p') =>
  Array.from({ length: count }, (_, index) => `${name}${index}`);
const named = (count: number, schema: object, name = 'p') =>
  Object.fromEntries(names(count, name).map((each) => [each, schema]));
const hard = (index: number) => `^[ab]*a[ab]{12}c${index}$`;

/** Steps of the analyses that a reading makes; it may end with a refusal. Minutes would end the test by its timeout. */
function workOf(read: () => unknown): number {
  return withWork(() => {
    try {
      read();
    } catch (error) {
      if (!(error instanceof GrammarProblem)) throw error;
    }
  }).work;
}

describe.each([
  ['relaxed', (schema: object) => relaxedSchema(schema)],
  ['strict', (schema: object) => enforceableSchema(schema)],
])('%s', (_mode, read) => {
  test.each([
    [
      'names beside patterns',
      { type: 'object', properties: named(2000, {}), patternProperties: named(2000, {}, '^x') },
    ],
    [
      'parts with patterns',
      {
        allOf: [
          { properties: named(2000, {}) },
          { additionalProperties: false, patternProperties: named(2000, {}, '^x') },
        ],
      },
    ],
    [
      'patterns beside patterns',
      {
        type: 'object',
        patternProperties: Object.fromEntries(names(100).map((_, index) => [hard(index), {}])),
      },
    ],
    [
      'listed texts beside a pattern',
      { type: 'object', properties: { a: { enum: names(50_000), pattern: hard(1) } } },
    ],
    [
      'references to names that are not there',
      { type: 'object', properties: named(9000, { $ref: 'x' }) },
    ],
    [
      'counted properties',
      { type: 'array', contains: { required: names(4000), properties: named(4000, {}) } },
    ],
  ])('%s', (_name, schema) => {
    expect(workOf(() => read(schema))).toBeLessThan(400_000);
  });
});

test.each([
  [
    'a class of many characters',
    () => {
      const codes = Array.from({ length: 20_000 }, (_, index) => 0x4e00 + 2 * index);
      checkGrammar(`root ::= [^${String.fromCodePoint(...codes)}]`);
    },
  ],
  ['lines without a rule', () => isLark('\n'.repeat(65_000))],
])('%s', (_name, read) => {
  expect(workOf(read)).toBeLessThan(400_000);
});
