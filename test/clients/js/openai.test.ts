/** OpenAI's client with zod's types: structured replies, tools, vectors, errors, time limits and retries. */
import OpenAI from 'openai';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
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

const model = modelId;
const ask = (content: string) => [{ role: 'user', content } as const];
const weatherQuestion = ask('What is the weather in Paris?');
const greedy = { model, temperature: 0, max_tokens: 200 };
/** A model that was not trained on calls would go on with the same one. */
const oneCall = { tool_choice: 'required', parallel_tool_calls: false } as const;

function clientOf({ url }: TestServer, apiKey: string, maxRetries = 0): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries });
}

const Weather = z.object({ city: z.string().max(30) });

describe.each(servedModels)('on $name', (served) => {
  let server: TestServer;
  let client: OpenAI;

  beforeAll(async () => {
    server = await serveModel(served);
    client = clientOf(server, 'none');
  });

  test('a chat is the same whole and as a stream', async () => {
    const body = { ...greedy, messages: ask('Who are you?'), max_tokens: 40 };
    await warm(() => client.chat.completions.create(body));
    const whole = await client.chat.completions.create(body);
    const runner = client.chat.completions.stream({
      ...body,
      stream_options: { include_usage: true },
    });
    const streamed = await runner.finalChatCompletion();
    expect(streamed.choices[0]?.message.content).toBe(whole.choices[0]?.message.content);
    expect(streamed.choices[0]?.finish_reason).toBe(whole.choices[0]?.finish_reason);
    expect(streamed.usage?.completion_tokens).toBe(whole.usage?.completion_tokens);
    expect(whole.id).toMatch(/^chatcmpl-/);
  });

  test('a reply has the types of zod', async () => {
    const Order = z.object({
      id: z.uuid(),
      day: z.iso.date(),
      kind: z.enum(['new', 'paid']),
      count: z.int().min(1).max(20),
      share: z.number().min(0).max(1),
      mail: z.email().max(30),
      note: z.string().max(20).nullable(),
      tags: z.array(z.enum(['a', 'b'])).max(3),
    });
    const reply = await client.chat.completions.parse({
      ...greedy,
      messages: ask('Write an order.'),
      max_tokens: 500,
      response_format: zodResponseFormat(Order, 'order'),
    });
    expect(Order.parse(reply.choices[0]?.message.parsed)).toBeTruthy();
    expect(reply.choices[0]?.finish_reason).toBe('stop');
  });

  test('a strict function is called with its types, and its result is answered', async () => {
    const tools = [zodFunction({ name: 'get_weather', parameters: Weather })];
    const first = await client.chat.completions.parse({
      ...greedy,
      messages: weatherQuestion,
      tools,
      ...oneCall,
    });
    const message = first.choices[0]?.message;
    const call = message?.tool_calls?.find((each) => each.type === 'function');
    expect(first.choices[0]?.finish_reason).toBe('tool_calls');
    expect(call?.function.name).toBe('get_weather');
    expect(Weather.parse(call?.function.parsed_arguments)).toBeTruthy();
    if (message === undefined || call === undefined) return;

    const second = await client.chat.completions.create({
      ...greedy,
      messages: [
        ...weatherQuestion,
        message,
        {
          role: 'tool',
          tool_call_id: call.id,
          content: '{"condition": "sunny", "temperature": 21}',
        },
      ],
      tools,
      tool_choice: 'none',
    });
    expect(second.choices[0]?.message.content).not.toBe('');
    if (served.isTrained) expect(second.choices[0]?.message.content).toContain('sunny');
  });

  test('vectors are the same as numbers and as base64', async () => {
    const input = ['one', 'two'];
    const decoded = await client.embeddings.create({ model, input });
    const plain = await client.embeddings.create({ model, input, encoding_format: 'float' });
    expect(decoded.data).toHaveLength(2);
    const [first = [], second = []] = decoded.data.map(({ embedding }) => embedding);
    expect(first.length).toBeGreaterThan(0);
    expect(second).toHaveLength(first.length);
    for (const [index, value] of (plain.data[0]?.embedding ?? []).entries()) {
      expect(first[index]).toBeCloseTo(value, 5);
    }
  });
});

describe('an error has its type', () => {
  let server: TestServer;
  const hello = { ...greedy, messages: ask('Hello!'), max_tokens: 5 };

  beforeAll(async () => {
    server = await serveWithKeys();
  });

  test('for an unknown key', async () => {
    const call = clientOf(server, unknownKey).chat.completions.create(hello);
    await expect(call).rejects.toThrow(OpenAI.AuthenticationError);
    await expect(call).rejects.toMatchObject({ status: 401, code: 'invalid_api_key' });
  });

  test('for a key over its limit', async () => {
    const client = clientOf(server, slowKey);
    await client.chat.completions.create(hello);
    const call = client.chat.completions.create(hello);
    await expect(call).rejects.toThrow(OpenAI.RateLimitError);
    await expect(call).rejects.toMatchObject({ status: 429, code: 'rate_limit_exceeded' });
  });

  test.each([false, true])('for a prompt beyond the context, streamed: %s', async (stream) => {
    const body = { ...hello, messages: ask(longPrompt), stream };
    const call = clientOf(server, goodKey).chat.completions.create(body);
    await expect(call).rejects.toThrow(OpenAI.BadRequestError);
    await expect(call).rejects.toMatchObject({ code: 'context_length_exceeded' });
    await expect(call).rejects.toThrow(/maximum context length is \d+ tokens/);
  });

  test('for a value out of range', async () => {
    const call = clientOf(server, goodKey).chat.completions.create({ ...hello, temperature: -1 });
    await expect(call).rejects.toThrow(OpenAI.BadRequestError);
    await expect(call).rejects.toMatchObject({ param: 'temperature' });
  });

  test('for another model', async () => {
    const call = clientOf(server, goodKey).models.retrieve('gpt-9');
    await expect(call).rejects.toThrow(OpenAI.NotFoundError);
    await expect(call).rejects.toMatchObject({ code: 'model_not_found' });
  });

  test('a client with a time limit leaves, and its slot is free', async () => {
    const endless = { ...hello, max_tokens: 4000, ...{ ignore_eos: true } };
    const call = clientOf(server, goodKey).chat.completions.create(endless, { timeout: 200 });
    await expect(call).rejects.toThrow(OpenAI.APIConnectionTimeoutError);
    await server.untilQueue({ active: 0, waiting: 0 });
  });

  test('a full queue is tried again until it has a place', async () => {
    const endless = { ...hello, max_tokens: 4000, stream: true as const, ...{ ignore_eos: true } };
    const running = await clientOf(server, goodKey).chat.completions.create(endless);
    const waiting = clientOf(server, goodKey).chat.completions.create(hello);
    await server.untilQueue({ active: 1, waiting: 1 });
    const refused = clientOf(server, goodKey).chat.completions.create(hello);
    await expect(refused).rejects.toMatchObject({ status: 503, code: 'queue_full' });
    const patient = clientOf(server, goodKey, 6).chat.completions.create(hello);
    running.controller.abort();
    expect((await patient).object).toBe('chat.completion');
    expect((await waiting).object).toBe('chat.completion');
  });
});
