/** Anthropic's client: messages, streams, its runner of tools, structured replies, errors. */
import Anthropic from '@anthropic-ai/sdk';
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
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
const greedy = { model, temperature: 0, max_tokens: 200 };
const weatherQuestion = ask('What is the weather in Paris?');
const weatherTool = {
  name: 'get_weather',
  description: 'Current weather in a city',
  input_schema: {
    type: 'object' as const,
    properties: { city: { type: 'string', maxLength: 30 } },
    required: ['city'],
  },
};

function clientOf({ url }: TestServer, apiKey: string, maxRetries = 0): Anthropic {
  return new Anthropic({ baseURL: url, apiKey, maxRetries });
}

describe.each(servedModels)('on $name', (served) => {
  let client: Anthropic;

  beforeAll(async () => {
    client = clientOf(await serveModel(served), 'none');
  });

  test('a message is the same whole and as a stream', async () => {
    const body = { ...greedy, messages: ask('Who are you?'), max_tokens: 40 };
    await warm(() => client.messages.create(body));
    const whole = await client.messages.create(body);
    const stream = client.messages.stream(body);
    const texts: string[] = [];
    stream.on('text', (text) => texts.push(text));
    const streamed = await stream.finalMessage();
    const [block] = whole.content;
    expect(block?.type).toBe('text');
    expect(streamed.content).toEqual(whole.content);
    expect(texts.join('')).toBe(block?.type === 'text' ? block.text : undefined);
    expect(streamed.stop_reason).toBe(whole.stop_reason);
    expect(streamed.usage).toEqual(whole.usage);
    expect(whole.usage.cache_read_input_tokens).toBeGreaterThan(0);
    expect(whole._request_id).toMatch(/^req_/);
  });

  test('the second turn computes only what is new', async () => {
    const system = 'You answer in one short sentence. '.repeat(20);
    const question = ask('What is your name?');
    const body = { ...greedy, system, max_tokens: 30 };
    const first = await client.messages.create({ ...body, messages: question });
    const second = await client.messages.create({
      ...body,
      messages: [...question, { role: 'assistant', content: first.content }, ...ask('And why?')],
    });
    const { input_tokens: computed, cache_read_input_tokens: cached } = second.usage;
    expect(cached).toBeGreaterThan(first.usage.input_tokens);
    expect(computed).toBeLessThan(40);
  });

  // A model that was not trained on calls would not end.
  test.runIf(served.isTrained)('a tool is called, its result sent back and answered', async () => {
    const seen: string[] = [];
    const tool = betaZodTool({
      name: 'get_weather',
      description: 'Current weather in a city',
      inputSchema: z.object({ city: z.string().max(30) }),
      run: ({ city }) => {
        seen.push(city);
        return '{"condition": "sunny", "temperature": 21}';
      },
    });
    const runner = client.beta.messages.toolRunner({
      ...greedy,
      messages: [...weatherQuestion],
      tools: [tool],
    });
    const last = await runner.runUntilDone();
    expect(seen).toEqual(['Paris']);
    expect(last.stop_reason).toBe('end_turn');
    expect(JSON.stringify(last.content)).toContain('sunny');
  });

  test('the stream of a call has its input in pieces', async () => {
    const stream = client.messages.stream({
      ...greedy,
      messages: weatherQuestion,
      tools: [weatherTool],
      tool_choice: { type: 'any', disable_parallel_tool_use: true },
    });
    const pieces: string[] = [];
    stream.on('inputJson', (piece) => pieces.push(piece));
    const message = await stream.finalMessage();
    expect(message.stop_reason).toBe('tool_use');
    const [call, second] = message.content.filter(({ type }) => type === 'tool_use');
    expect(second).toBeUndefined();
    expect(call).toMatchObject({ name: 'get_weather', input: { city: expect.any(String) } });
    expect(JSON.parse(pieces.join(''))).toEqual(call?.type === 'tool_use' ? call.input : undefined);
  });

  test('no tool is called where the choice forbids it', async () => {
    const message = await client.messages.create({
      ...greedy,
      messages: weatherQuestion,
      tools: [weatherTool],
      tool_choice: { type: 'none' },
      max_tokens: 40,
    });
    expect(message.content.map(({ type }) => type)).not.toContain('tool_use');
  });

  test('a reply has the types of zod', async () => {
    // Its helper leaves out lengths, without which a small model would not end.
    const Order = z.object({ kind: z.enum(['new', 'paid']), large: z.boolean() });
    const reply = await client.messages.parse({
      ...greedy,
      messages: ask('Write an order.'),
      output_config: { format: zodOutputFormat(Order) },
    });
    expect(Order.parse(reply.parsed_output)).toBeTruthy();
  });

  test('a stop sequence is named', async () => {
    const messages = [...ask('Count.'), { role: 'assistant', content: '1, 2, 3' } as const];
    const reply = await client.messages.create({
      ...greedy,
      messages,
      stop_sequences: [' ', ',', '.', 'e', 'a'],
    });
    if (reply.stop_reason !== 'stop_sequence') return;
    expect([' ', ',', '.', 'e', 'a']).toContain(reply.stop_sequence);
  });

  test('the tokens of a prompt are counted', async () => {
    const messages = ask('Who are you?');
    const { input_tokens: counted } = await client.messages.countTokens({ model, messages });
    const { usage } = await client.messages.create({ ...greedy, messages, max_tokens: 1 });
    expect(counted).toBe(usage.input_tokens + (usage.cache_read_input_tokens ?? 0));
  });
});

describe('an error has its type', () => {
  let server: TestServer;
  const hello = { ...greedy, messages: ask('Hello!'), max_tokens: 5 };

  beforeAll(async () => {
    server = await serveWithKeys();
  });

  test('for an unknown key', async () => {
    const call = clientOf(server, unknownKey).messages.create(hello);
    await expect(call).rejects.toThrow(Anthropic.AuthenticationError);
    await expect(call).rejects.toMatchObject({ status: 401, type: 'authentication_error' });
  });

  test('for a key over its limit', async () => {
    const client = clientOf(server, slowKey);
    await client.messages.create(hello);
    const call = client.messages.create(hello);
    await expect(call).rejects.toThrow(Anthropic.RateLimitError);
  });

  test.each([false, true])('for a prompt beyond the context, streamed: %s', async (stream) => {
    const call = clientOf(server, goodKey).messages.create({
      ...hello,
      messages: ask(longPrompt),
      stream,
    });
    await expect(call).rejects.toThrow(Anthropic.BadRequestError);
    await expect(call).rejects.toThrow(/prompt is too long: \d+ tokens > \d+ maximum/);
  });

  test('for an image', async () => {
    const source = { type: 'base64', media_type: 'image/png', data: 'AAAA' } as const;
    const call = clientOf(server, goodKey).messages.create({
      ...hello,
      messages: [{ role: 'user', content: [{ type: 'image', source }] }],
    });
    await expect(call).rejects.toThrow(/messages\[0\]\.content\[0\]/);
  });
});
