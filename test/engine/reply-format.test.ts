import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ChatOptions } from '../../src/engine/chat.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { EngineRequest } from '../../src/engine/generator.ts';
import type { SamplingParams } from '../../src/engine/sampling-params.ts';
import { GrammarProblem } from '../../src/grammar/problem.ts';
import { enforceableSchema } from '../../src/grammar/schema.ts';
import { SeededRandom, testSeed } from '../../tools/fixtures/seeded-random.ts';
import {
  type Completion,
  collect,
  type LoadedModel,
  loadModel,
  noStrayBytes,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';
import { chatmlTemplate } from '../../tools/fixtures/tiny-model.ts';
import { randomSchema } from '../support/random-schema.ts';
import { schemaValidator } from '../support/schema-validator.ts';

const messages = [{ role: 'user', content: 'Answer as you are told' }] as const;

let loaded: LoadedModel;
let engine: GeneratingEngine;

beforeAll(async () => {
  loaded = await loadModel();
  engine = await startEngine(loaded.model, { contextLength: 1024 });
});

afterAll(async () => {
  await engine.close();
  await loaded.dispose();
});

async function reply(
  chat: ChatOptions,
  request: Omit<EngineRequest, 'prompt'> = {},
): Promise<Completion> {
  const prompt = await engine.generator.prepareChat(messages, chat);
  return collect(engine.generator.generate({ maxTokens: 300, ...request, prompt }));
}

describe('a reply under a schema', () => {
  test('conforms to it, for 200 schemas of the documented keywords', async () => {
    const seed = testSeed();
    const random = new SeededRandom(seed);
    let accepted = 0;
    let finished = 0;
    const one = async (index: number) => {
      const schema = randomSchema(random);
      let jsonSchema: object;
      try {
        jsonSchema = enforceableSchema(schema).schema;
      } catch (error) {
        if (error instanceof GrammarProblem) return;
        throw error;
      }
      accepted += 1;
      const sampling = { ...noStrayBytes, seed: BigInt(index) };
      const { text, end } = await reply({ jsonSchema }, { sampling });
      if (end.finishReason === 'length') return;
      finished += 1;
      const told = `seed ${seed}, schema ${JSON.stringify(schema)}, reply ${JSON.stringify(text)}`;
      expect(end.finishReason, told).toBe('stop');
      expect(schemaValidator(schema)?.(JSON.parse(text)), told).toBe(true);
    };
    for (let index = 0; index < 200; index += 4) {
      await Promise.all([0, 1, 2, 3].map((lane) => one(index + lane)));
    }
    console.log(`seed ${seed}: ${accepted} of 200 schemas accepted, ${finished} replies finished`);
    expect(accepted, `seed ${seed}`).toBeGreaterThanOrEqual(190);
    expect(finished, `seed ${seed}`).toBeGreaterThanOrEqual(100);
  }, 300_000);
});

describe('other formats', () => {
  test('any JSON object is one', async () => {
    const random = new SeededRandom(7);
    let finished = 0;
    for (let round = 0; round < 10; round++) {
      const seed = BigInt(random.integer(1, 1_000_000));
      const { text, end } = await reply(
        { jsonSchema: { type: 'object' } },
        { sampling: { ...noStrayBytes, seed } },
      );
      if (end.finishReason === 'length') continue;
      finished += 1;
      expect(JSON.parse(text)).toBeTypeOf('object');
      expect(text.trim().startsWith('{')).toBe(true);
    }
    expect(finished).toBeGreaterThan(0);
  });

  test('a grammar is followed', async () => {
    const grammar = 'root ::= word ("-" word){2}\nword ::= [a-c]{1,3}';
    const { text, end } = await reply({ grammar }, { sampling: { temperature: 1 } });
    expect(text).toMatch(/^[a-c]{1,3}(-[a-c]{1,3}){2}$/);
    expect(end.finishReason).toBe('stop');
  });

  test('a grammar that nothing can follow ends its own sequence alone', async () => {
    const prompt = await engine.generator.prepareChat(messages, {});
    const beside = collect(engine.generator.generate({ prompt, maxTokens: 100, sampling: {} }));
    await expect(reply({ grammar: 'root ::= "a" "\\x00"' })).rejects.toMatchObject({
      code: 'bad_request',
    });
    expect((await beside).end.finishReason).not.toBe('cancelled');
  });

  test.each([
    ['alone', 800, {}],
    [
      'beside tools',
      750,
      { tools: [{ name: 'f', description: '', parameters: { type: 'object' } }] },
    ],
  ])('numbers are finite, %s', async (_, maxTokens, tools) => {
    const schema = { type: 'array', items: { type: 'number' }, minItems: 20, maxItems: 20 };
    const jsonSchema = enforceableSchema(schema).schema;
    for (let seed = 1n; seed <= 8n; seed++) {
      const sampling = { ...noStrayBytes, temperature: 2, seed };
      const { text, end } = await reply({ jsonSchema, ...tools }, { maxTokens, sampling });
      if (end.finishReason !== 'stop') continue;
      for (const number of JSON.parse(text)) expect(Number.isFinite(number)).toBe(true);
    }
  });
});

test('a chat format that has no place for a schema follows it as well', async () => {
  // What llama.cpp knows Kimi K2's format by.
  const marks = '{# <|tool_calls_section_begin|> <|tool_call_begin|> #}';
  const other = await startEngine(loaded.model, { chatTemplate: chatmlTemplate + marks });
  try {
    const jsonSchema = { type: 'array', items: { type: 'boolean' }, minItems: 2, maxItems: 2 };
    const prompt = await other.generator.prepareChat(messages, { jsonSchema, thinking: false });
    const { text } = await collect(other.generator.generate({ prompt, sampling: noStrayBytes }));
    expect(JSON.parse(text), text).toEqual([expect.any(Boolean), expect.any(Boolean)]);
  } finally {
    await other.close();
  }
});

describe('sampling at the edges of its ranges', () => {
  test.each([
    { temperature: 2, dynatempRange: 2, dynatempExponent: 4 },
    { temperature: 0, dynatempRange: 2, dynatempExponent: 0 },
    { temperature: 1, typicalP: 1e-9, topP: 1e-9, minP: 1 },
    { temperature: 1, topNSigma: 100, xtcProbability: 1, xtcThreshold: 0 },
    { temperature: 1, repeatPenalty: 0.01, repeatLastN: 65_536 },
    { temperature: 1, repeatPenalty: 10, frequencyPenalty: -2, presencePenalty: 2 },
    { temperature: 1, dryMultiplier: 100, dryBase: 100, dryAllowedLength: 0 },
    { temperature: 1, dryMultiplier: 100, dryBase: 1, dryPenaltyLastN: 65_536 },
    { temperature: 1, mirostat: 1, mirostatTau: 0, mirostatEta: 1 },
    { temperature: 1, mirostat: 1, mirostatTau: 100, mirostatEta: 0 },
    { temperature: 2, mirostat: 2, mirostatTau: 100, mirostatEta: 1 },
    { temperature: 1, samplers: ['adaptive_p'], adaptiveTarget: 1, adaptiveDecay: 0.99 },
    { temperature: 1, samplers: ['adaptive_p'], adaptiveTarget: 0, adaptiveDecay: 0 },
    { temperature: 1, samplers: ['temperature', 'xtc', 'top_k', 'typ_p'], topK: 1 },
    { temperature: 1, logitBias: [[5, 100]] },
  ] satisfies SamplingParams[])('%j gives tokens, alone and under a schema', async (sampling) => {
    const free = await reply({}, { maxTokens: 40, sampling: { ...sampling, ignoreEos: true } });
    expect(free.end.usage.completionTokenCount).toBe(40);
    const jsonSchema = { type: 'array', items: { type: 'boolean' }, maxItems: 9 };
    const { text, end } = await reply({ jsonSchema }, { sampling });
    if (end.finishReason !== 'length') expect(JSON.parse(text)).toBeInstanceOf(Array);
  });
});
