/** The AI SDK with its provider for compatible servers: text, steps with tools, objects of zod's types, vectors, errors. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import {
  APICallError,
  embedMany,
  generateText,
  isStepCount,
  Output,
  RetryError,
  streamText,
  tool,
} from 'ai';
import { beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { TestServer } from '../../support/start-server.ts';
import {
  goodKey,
  longPrompt,
  modelId,
  servedModels,
  serveModel,
  serveWithKeys,
  slowKey,
  unknownKey,
  warm,
} from './served-models.ts';

const greedy = { temperature: 0, maxOutputTokens: 200, maxRetries: 0 };

function providerOf({ url }: TestServer, apiKey = 'none') {
  return createOpenAICompatible({
    ...{ name: 'gateway', baseURL: `${url}/v1`, apiKey },
    ...{ supportsStructuredOutputs: true, includeUsage: true },
  });
}
type Provider = ReturnType<typeof providerOf>;

describe.each(servedModels)('on $name', (served) => {
  let server: TestServer;
  let provider: Provider;

  beforeAll(async () => {
    server = await serveModel(served);
    provider = providerOf(server);
  });

  test('a text is the same whole and as a stream', async () => {
    const call = {
      ...greedy,
      model: provider(modelId),
      prompt: 'Who are you?',
      maxOutputTokens: 40,
    };
    await warm(() => generateText(call));
    const whole = await generateText(call);
    const stream = streamText(call);
    let text = '';
    for await (const delta of stream.textStream) text += delta;
    expect(text).toBe(whole.text);
    expect(text).not.toBe('');
    expect(await stream.finishReason).toBe(whole.finishReason);
    expect((await stream.usage).outputTokens).toBe(whole.usage.outputTokens);
    expect(whole.response.modelId).toBe(modelId);
  });

  const weatherTools = (cities: string[]) => ({
    get_weather: tool({
      description: 'Current weather in a city',
      inputSchema: z.object({ city: z.string().max(30) }),
      execute: ({ city }) => {
        cities.push(city);
        return { condition: 'sunny', temperature: 21 };
      },
    }),
  });

  /** The first step has to call; the second is the model's own. */
  const toolCall = (cities: string[]) => ({
    ...greedy,
    model: provider(modelId),
    prompt: 'What is the weather in Paris?',
    tools: weatherTools(cities),
    stopWhen: isStepCount(2),
    prepareStep: ({ stepNumber }: { stepNumber: number }) => ({
      toolChoice: stepNumber === 0 ? ('required' as const) : ('none' as const),
    }),
    providerOptions: { gateway: { parallel_tool_calls: false } },
  });

  test('a tool runs, and its result is answered', async () => {
    const cities: string[] = [];
    const { steps, text } = await generateText(toolCall(cities));
    expect(cities).toHaveLength(1);
    expect(steps).toHaveLength(2);
    expect(steps[0]?.finishReason).toBe('tool-calls');
    expect(text).not.toBe('');
    if (served.isTrained) {
      expect(cities).toEqual(['Paris']);
      expect(text).toContain('sunny');
    }
  });

  test('a tool runs in a stream, with its parts in order', async () => {
    const cities: string[] = [];
    const parts: string[] = [];
    for await (const { type } of streamText(toolCall(cities)).stream) {
      if (parts.at(-1) !== type) parts.push(type);
    }
    expect(cities).toHaveLength(1);
    const order = ['tool-input-start', 'tool-input-end', 'tool-call', 'tool-result', 'finish'];
    expect(parts.filter((part) => order.includes(part))).toEqual(order);
    expect(parts).toContain('text-delta');
    expect(parts).not.toContain('error');
  });

  const types: readonly (readonly [string, z.ZodType])[] = [
    ['dates and ids', z.object({ day: z.iso.date(), at: z.iso.datetime().max(30), id: z.uuid() })],
    ['times', z.object({ time: z.iso.time(), duration: z.iso.duration().max(12) })],
    ['a record', z.object({ counts: z.record(z.enum(['a', 'b']), z.int().min(0).max(9)) })],
    ['open names', z.object({ counts: z.record(z.string().max(5), z.boolean()) })],
    [
      'numbers',
      z.object({ share: z.number().min(0).max(1), price: z.number().positive().max(99) }),
    ],
    ['steps', z.object({ five: z.int().multipleOf(5).min(0).max(100) })],
    ['addresses', z.object({ mail: z.email().max(20), ip: z.ipv4(), host: z.cidrv4() })],
    ['a choice', z.object({ pet: z.union([z.literal('cat'), z.int().min(1).max(3), z.null()]) })],
    [
      'tagged shapes',
      z.object({
        shape: z.discriminatedUnion('kind', [
          z.object({ kind: z.literal('circle'), radius: z.int().min(1).max(9) }),
          z.object({ kind: z.literal('square'), side: z.int().min(1).max(9) }),
        ]),
      }),
    ],
    ['a tuple', z.object({ pair: z.tuple([z.boolean(), z.enum(['x', 'y'])]) })],
    ['what may be absent', z.object({ a: z.boolean().optional(), b: z.boolean().nullish() })],
    ['a pattern', z.object({ code: z.string().regex(/^[A-Z]{2}-\d{3}$/) })],
  ];

  test.each(types)('an object follows zod: %s', async (_what, schema) => {
    const { output, finishReason } = await generateText({
      ...greedy,
      model: provider(modelId),
      prompt: 'Write a short JSON object.',
      output: Output.object({ schema }),
      maxOutputTokens: 400,
    });
    expect(finishReason).toBe('stop');
    expect(schema.parse(output)).toEqual(output);
  });

  test('arrays and choices are streamed as they grow', async () => {
    const elements = streamText({
      ...greedy,
      model: provider(modelId),
      prompt: 'List three colours.',
      output: Output.object({ schema: z.object({ c: z.array(z.enum(['red', 'blue'])).max(3) }) }),
    });
    let last: unknown;
    for await (const partial of elements.partialOutputStream) last = partial;
    expect(last).toEqual(await elements.output);

    const options = ['yes', 'no'] as const;
    const { output } = await generateText({
      ...greedy,
      model: provider(modelId),
      prompt: 'Is it raining?',
      output: Output.choice({ options: [...options] }),
    });
    expect(options).toContain(output);
  });

  test('vectors come in the order of their texts', async () => {
    const { embeddings, usage } = await embedMany({
      model: provider.embeddingModel(modelId),
      values: ['one', 'two', 'one'],
    });
    expect(embeddings).toHaveLength(3);
    const [first = [], second = [], third = []] = embeddings;
    expect(first.length).toBeGreaterThan(0);
    expect(second).not.toEqual(first);
    for (const [index, value] of third.entries()) expect(first[index]).toBeCloseTo(value, 2);
    expect(usage.tokens).toBeGreaterThan(0);
  });
});

describe('an error', () => {
  let server: TestServer;
  const ask = (apiKey: string, fields: object = {}) =>
    generateText({
      ...{ ...greedy, maxOutputTokens: 5, prompt: 'Hello!' },
      model: providerOf(server, apiKey)(modelId),
      ...fields,
    });

  beforeAll(async () => {
    server = await serveWithKeys();
  });

  test('of a key is no reason to try again', async () => {
    const error = await ask(unknownKey).catch((thrown: unknown) => thrown);
    expect(APICallError.isInstance(error)).toBe(true);
    expect(error).toMatchObject({ statusCode: 401, isRetryable: false });
  });

  test('of a limit is one, and says when', async () => {
    await ask(slowKey);
    const error = await ask(slowKey).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ statusCode: 429, isRetryable: true });
    expect(error).toMatchObject({
      responseHeaders: { 'retry-after': expect.stringMatching(/^\d+$/) },
    });
  });

  test('of the context names both numbers', async () => {
    const error = await ask(goodKey, { prompt: longPrompt }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ statusCode: 400, isRetryable: false });
    expect(String(error)).toMatch(/maximum context length is \d+ tokens/);
  });

  test('of a field names it', async () => {
    const error = await ask(goodKey, { temperature: -1 }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      statusCode: 400,
      message: expect.stringContaining('temperature'),
    });
  });

  test('of a stream is a part of it', async () => {
    const errors: unknown[] = [];
    const { stream } = streamText({
      ...{ ...greedy, prompt: longPrompt, model: providerOf(server, goodKey)(modelId) },
      onError: ({ error }) => {
        errors.push(error);
      },
    });
    const parts: string[] = [];
    for await (const { type } of stream) parts.push(type);
    expect(parts).toContain('error');
    expect(errors).toMatchObject([{ statusCode: 400 }]);
  });

  test('of time ends the request, and its slot is free', async () => {
    const call = ask(goodKey, {
      ...{ maxOutputTokens: 4000, timeout: 200 },
      providerOptions: { gateway: { ignore_eos: true } },
    });
    await expect(call).rejects.toThrow();
    await server.untilQueue({ active: 0, waiting: 0 });
  });

  test('of a full queue is tried again until there is a place', async () => {
    const endless = { maxOutputTokens: 4000, providerOptions: { gateway: { ignore_eos: true } } };
    const controller = new AbortController();
    const running = ask(goodKey, { ...endless, abortSignal: controller.signal });
    const ended = expect(running).rejects.toThrow();
    await server.untilQueue({ active: 1 });
    const waiting = ask(goodKey);
    await server.untilQueue({ waiting: 1 });
    const refused = await ask(goodKey, { maxRetries: 1 }).catch((thrown: unknown) => thrown);
    expect(RetryError.isInstance(refused)).toBe(true);
    expect(refused).toMatchObject({ lastError: { statusCode: 503 } });
    const patient = ask(goodKey, { maxRetries: 6 });
    controller.abort();
    await ended;
    expect((await patient).usage.outputTokens).toBeGreaterThan(0);
    expect((await waiting).usage.outputTokens).toBeGreaterThan(0);
  });
});
