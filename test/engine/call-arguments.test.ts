/**
 * Calls in notations of their own follow their schemas as strictly as JSON does: random schemas, written
 * by a model of random weights.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Tool } from '../../src/engine/chat.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { EngineEvent } from '../../src/engine/generator.ts';
import { GrammarProblem } from '../../src/grammar/problem.ts';
import { enforceableSchema, relaxedSchema } from '../../src/grammar/schema.ts';
import { writtenKey } from '../../src/grammar/written.ts';
import { SeededRandom, testSeed } from '../../tools/fixtures/seeded-random.ts';
import {
  type LoadedModel,
  loadModel,
  noStrayBytes,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';
import { templateSource } from '../../tools/fixtures/template-sources.ts';
import { isLong } from '../support/long.ts';
import { randomSchema } from '../support/random-schema.ts';
import { schemaValidator } from '../support/schema-validator.ts';

const schemaCount = isLong ? 20 : 4;
/** One for each way of writing arguments; the second opens a thought that has to be ended. */
const families = [
  'Qwen3-Coder',
  'Kimi-K3',
  'GLM-4.6',
  'LFM2.5-8B-A1B',
  'MiniMax-M2',
  'deepseek-ai-DeepSeek-V4',
  'google-gemma-4-31B-it',
  'muse-glimmer',
  'openbmb-MiniCPM5-1B',
];

/** Characters of a schema: the tiny model reads them nearly one by one. */
const maxSchemaLength = 4000;

const contextLength = 16_384;

/** Batches of schemas for a family of which no call has finished. */
const mostRounds = 6;

let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadModel({ contextLength });
});
afterAll(() => loaded.dispose());

/** Its values are no JSON: what has a grammar of JSON only is any value of its type there. */
const gemma = 'google-gemma-4-31B-it';

/** True if a schema is an object or an array whose grammar says more than its keywords: names of a pattern, `contains`. */
function hasOnlyGrammar(schema: object): boolean {
  const { type, const: constant } = schema as { readonly type?: unknown; readonly const?: unknown };
  const isWritten = typeof constant === 'object' && constant !== null && writtenKey in constant;
  const isSaid = 'properties' in schema || 'additionalProperties' in schema;
  return isWritten && (type === 'array' || (type === 'object' && !isSaid));
}

/** The same of any schema within it. */
function hasOnlyGrammarWithin(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return false;
  return hasOnlyGrammar(schema) || Object.values(schema).some(hasOnlyGrammarWithin);
}

/** Schemas of arguments, which are objects. */
function* toolSchemas(
  random: SeededRandom,
  family: string,
): Generator<{ parameters: object; enforced: object }> {
  for (let count = 0; count < schemaCount; ) {
    const parameters = randomSchema(random);
    if (parameters.type !== 'object') continue;
    if (JSON.stringify(parameters).length > maxSchemaLength) continue;
    try {
      const enforced = enforceableSchema(parameters).schema;
      // Formats that write arguments between tags have those only that are listed.
      if (hasOnlyGrammar(enforced)) continue;
      if (family === gemma && hasOnlyGrammarWithin(enforced)) continue;
      count += 1;
      yield { parameters, enforced };
    } catch (error) {
      if (!(error instanceof GrammarProblem)) throw error;
    }
  }
}

function startFamily(family: string): Promise<GeneratingEngine> {
  const chatTemplate = templateSource(family);
  return startEngine(loaded.model, { chatTemplate, slotCount: 4, contextLength });
}

test.each(families)(
  '%s writes arguments that random schemas allow',
  async (family) => {
    const engine = await startFamily(family);
    const seed = testSeed();
    let finished = 0;
    const one = async (tool: Tool, index: number) => {
      const events = await call(engine, tool, index);
      const end = events?.at(-1);
      if (end?.type !== 'sequence-end' || end.finishReason === 'length') return;
      const text = events
        ?.map((event) => (event.type === 'tool-call-delta' ? event.arguments : ''))
        .join('');
      const told = `seed ${seed}, schema ${JSON.stringify(tool.parameters)}, arguments ${text}`;
      expect(end.finishReason, told).toBe('tool-calls');
      expect(schemaValidator(tool.parameters as object)?.(JSON.parse(text ?? '')), told).toBe(true);
      finished += 1;
    };
    try {
      const random = new SeededRandom(seed);
      // Random text seldom ends some families' calls in time: then there are more of them.
      for (let round = 0; round < mostRounds && finished === 0; round++) {
        const tools = [...toolSchemas(random, family)].map((schemas) => ({
          name: 'get_weather',
          ...schemas,
        }));
        await Promise.all(tools.map(one));
        console.log(`seed ${seed}: ${finished} of ${tools.length} calls finished`);
      }
      expect(finished).toBeGreaterThan(0);
    } finally {
      await engine.close();
    }
  },
  300_000,
);

test.each([...families, 'MiniMax-M3'])(
  '%s writes as many arguments as are asked for',
  async (family) => {
    const engine = await startFamily(family);
    try {
      const digit = { type: 'integer', enum: [1, 2] };
      const parameters = {
        type: 'object',
        properties: { a: digit, b: digit, c: digit, d: digit },
        required: ['b'],
        minProperties: 2,
        maxProperties: 3,
      };
      const tool = {
        name: 'get_weather',
        parameters,
        enforced: enforceableSchema(parameters).schema,
      };
      const counts: number[] = [];
      for (let seed = 0; seed < 6; seed++) {
        const events = (await call(engine, tool, seed)) ?? [];
        const end = events.at(-1);
        if (end?.type !== 'sequence-end' || end.finishReason === 'length') continue;
        const texts = events.map((event) =>
          event.type === 'tool-call-delta' ? event.arguments : '',
        );
        const written = JSON.parse(texts.join(''));
        expect(schemaValidator(parameters)?.(written), texts.join('')).toBe(true);
        counts.push(Object.keys(written).length);
      }
      expect(counts.length).toBeGreaterThan(0);
    } finally {
      await engine.close();
    }
  },
);

describe.each(['Qwen3-Coder', 'GLM-4.6', 'MiniMax-M3'])('%s', (family) => {
  let engine: GeneratingEngine;
  beforeAll(async () => {
    engine = await startFamily(family);
  });
  afterAll(() => engine.close());

  const toolOf = (properties: object): Tool => ({
    name: 'get_weather',
    parameters: { type: 'object', properties, required: Object.keys(properties) },
  });

  test('writes what an argument without a type allows', async () => {
    expect(await call(engine, toolOf({ value: { description: 'anything' } }), 1)).toBeDefined();
  });

  test('tells what is within an argument from one of a name like it', async () => {
    const name = { type: 'string', enum: ['inner'] };
    const user = { type: 'object', properties: { name }, required: ['name'] };
    const properties = { user, 'user name': { type: 'string', enum: ['outer'] } };
    const tool = toolOf(family === 'MiniMax-M3' ? { user } : properties);
    const events = (await call(engine, tool, 1)) ?? [];
    const text = events.map((event) => (event.type === 'tool-call-delta' ? event.arguments : ''));
    expect(JSON.parse(text.join(''))).toEqual({
      user: { name: 'inner' },
      ...(family !== 'MiniMax-M3' && { 'user name': 'outer' }),
    });
  });

  test('tells arguments apart whose names differ in signs only, or have other letters', async () => {
    const properties = { 'a-b': 1, a_b: 2, 商品: 3, 数量: 4, '"': 5, '\\': 6 };
    const tool = toolOf(
      Object.fromEntries(
        Object.entries(properties).map(([name, value]) => [
          name,
          { type: 'integer', enum: [value] },
        ]),
      ),
    );
    const events = (await call(engine, tool, 1)) ?? [];
    const text = events.map((event) => (event.type === 'tool-call-delta' ? event.arguments : ''));
    expect(JSON.parse(text.join(''))).toEqual(properties);
  });

  test('writes any text that only must not be empty', async () => {
    const page = { type: 'string', minLength: 1 };
    const parameters = { type: 'object', properties: { page }, required: ['page'] };
    const { schema: enforced } = relaxedSchema(parameters);
    const tool = { name: 'get_weather', parameters, enforced };
    // The mark that closes the argument begins with one of them.
    const [likely = 0, other = 0] = await engine.tokenizer.tokenize('<\n', {
      addSpecial: false,
      parseSpecial: false,
    });
    let written = '';
    for (let seed = 0; seed < 8; seed++) {
      const events = (await call(engine, tool, seed, false, [likely, other])) ?? [];
      for (const event of events) {
        if (event.type === 'tool-call-delta') written += event.arguments;
      }
    }
    expect(written).toMatch(/<(?!\/)/);
    expect(written).toContain('\\n');
  });

  test.each([
    // The first alternative is one without `a`.
    ['that another needs', { dependentRequired: { a: ['b'] } }, true],
    // The first alternative is one with `a`.
    ['that one alternative needs', { anyOf: [{ required: ['a'] }, { required: ['b'] }] }, false],
  ])('may have or lack an argument %s', async (_name, keywords, isSought) => {
    const one = (value: number) => ({ type: 'integer', enum: [value] });
    const properties = { a: one(1), b: one(2), c: one(3) };
    const parameters = { type: 'object', properties, required: ['c'], ...keywords };
    const { schema: enforced } = relaxedSchema(parameters);
    const tool = { name: 'get_weather', parameters, enforced };
    let found = false;
    for (let seed = 0; seed < 30 && !found; seed++) {
      const events = (await call(engine, tool, seed)) ?? [];
      const end = events.at(-1);
      if (end?.type !== 'sequence-end' || end.finishReason === 'length') continue;
      const text = events.map((event) => (event.type === 'tool-call-delta' ? event.arguments : ''));
      const written = JSON.parse(text.join(''));
      expect(written.c).toBe(3);
      found = Object.hasOwn(written, 'a') === isSought;
    }
    expect(found).toBe(true);
  });

  test('closes each of several calls', async () => {
    const tool = toolOf({ loud: { type: 'boolean' } });
    let finished = 0;
    for (let seed = 0; seed < 6; seed++) {
      const events = (await call(engine, tool, seed, true)) ?? [];
      const end = events.at(-1);
      if (end?.type !== 'sequence-end' || end.finishReason === 'length') continue;
      finished += 1;
      expect(end.finishReason, JSON.stringify(events)).toBe('tool-calls');
    }
    expect(finished).toBeGreaterThan(0);
  });
});

test.each(['Qwen3-Coder', 'LFM2.5-8B-A1B', 'google-gemma-4-31B-it'])(
  '%s replies with a call that has texts, or as a schema wants it',
  async (family) => {
    const engine = await startFamily(family);
    try {
      const properties = { text: { type: 'string' }, unit: { type: 'string', enum: ['a', 'b'] } };
      const prompt = await engine.generator.prepareChat([{ role: 'user', content: 'Weather?' }], {
        tools: [{ name: 'get_weather', parameters: { type: 'object', properties } }],
        jsonSchema: { type: 'boolean' },
        thinking: false,
      });
      const ends = Array.from({ length: 4 }, async (_, seed) => {
        const sampling = { ...noStrayBytes, seed: BigInt(seed) };
        const events: EngineEvent[] = [];
        for await (const event of engine.generator.generate({ prompt, sampling, maxTokens: 60 })) {
          events.push(event);
        }
        return events.at(-1)?.type;
      });
      expect(await Promise.all(ends)).toEqual(Array(4).fill('sequence-end'));
    } finally {
      await engine.close();
    }
  },
);

/** Undefined where the template itself fails on the schema. */
async function call(
  engine: GeneratingEngine,
  tool: Tool,
  index: number,
  parallelToolCalls = false,
  likely: readonly number[] = [],
): Promise<EngineEvent[] | undefined> {
  const prompt = await engine.generator
    .prepareChat([{ role: 'user', content: 'Weather in Paris?' }], {
      tools: [tool],
      toolChoice: 'required',
      parallelToolCalls,
      thinking: false,
      thinkingBudget: 4,
    })
    .catch((error: Error) => {
      if (!error.message.includes('NotImplemented')) throw error;
    });
  if (prompt === undefined) return undefined;
  const events: EngineEvent[] = [];
  const bias = likely.map((token) => [token, 4] as const);
  const logitBias = [...(noStrayBytes.logitBias ?? []), ...bias];
  const sampling = { ...noStrayBytes, logitBias, seed: BigInt(index) };
  for await (const event of engine.generator.generate({ prompt, sampling, maxTokens: 500 })) {
    events.push(event);
  }
  return events;
}
