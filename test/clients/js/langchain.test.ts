/** LangChain for JavaScript: chats, streams, bound tools, structured output, vectors, errors. */
import { HumanMessage, type ToolMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
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

function chatOf({ url }: TestServer, fields: object = {}): ChatOpenAI {
  return new ChatOpenAI({
    ...{ model: modelId, apiKey: 'none', temperature: 0, maxTokens: 200, maxRetries: 0 },
    configuration: { baseURL: `${url}/v1` },
    ...fields,
  });
}

const getWeather = tool(() => '{"condition": "sunny", "temperature": 21}', {
  name: 'get_weather',
  description: 'Current weather in a city',
  schema: z.object({ city: z.string().max(30) }),
});
const question = new HumanMessage('What is the weather in Paris?');

describe.each(servedModels)('on $name', (served) => {
  let chat: ChatOpenAI;
  let server: TestServer;

  beforeAll(async () => {
    server = await serveModel(served);
    chat = chatOf(server);
  });

  test('a chat is the same whole and as a stream', async () => {
    const messages = [new HumanMessage('Who are you?')];
    await warm(() => chat.invoke(messages));
    const whole = await chat.invoke(messages);
    let text = '';
    const usages: unknown[] = [];
    for await (const chunk of await chat.stream(messages)) {
      text += chunk.text;
      if (chunk.usage_metadata !== undefined) usages.push(chunk.usage_metadata);
    }
    expect(text).toBe(whole.text);
    expect(usages.at(-1)).toMatchObject({
      output_tokens: Object(whole.usage_metadata).output_tokens,
    });
  });

  test('a bound tool is called, and its result is answered', async () => {
    const calling = chat.bindTools([getWeather], {
      ...{ tool_choice: 'any', strict: true, parallel_tool_calls: false },
    });
    const call = await calling.invoke([question]);
    expect(call.tool_calls).toHaveLength(1);
    expect(call.invalid_tool_calls).toEqual([]);
    const [first] = call.tool_calls ?? [];
    if (first === undefined) return;
    const result = (await getWeather.invoke({ ...first, type: 'tool_call' })) as ToolMessage;
    const answering = chat.bindTools([getWeather], { tool_choice: 'none' });
    const answer = await answering.invoke([question, call, result]);
    expect(answer.text).not.toBe('');
    if (served.isTrained) expect(answer.text).toContain('sunny');
  });

  test('a streamed call is put together from its chunks', async () => {
    const calling = chat.bindTools([getWeather], {
      ...{ tool_choice: 'get_weather', parallel_tool_calls: false },
    });
    const chunks = await Array.fromAsync(await calling.stream([question]));
    const whole = chunks.reduce((sum, chunk) => sum.concat(chunk));
    expect(whole.tool_calls).toMatchObject([{ name: 'get_weather', args: expect.anything() }]);
    expect(whole.response_metadata.finish_reason).toBe('tool_calls');
  });

  const Person = z.object({
    name: z.string().min(1).max(20),
    age: z.int().min(0).max(150),
    since: z.iso.date().nullable(),
  });

  test.each(['jsonSchema', 'functionCalling'] as const)(
    'an object has zod’s types: %s',
    async (method) => {
      const person = await chat
        .withStructuredOutput(Person, { name: 'person', method })
        .invoke('Ada');
      expect(Person.parse(person)).toEqual(person);
    },
  );

  test('any JSON object is parsed', async () => {
    const anything = chat.withStructuredOutput(z.object({}).loose(), { method: 'jsonMode' });
    const reply = await anything.invoke('Give me a JSON object with name Ada and age 36');
    expect(typeof reply).toBe('object');
  });

  test('vectors are those of each text', async () => {
    const embeddings = new OpenAIEmbeddings({
      ...{ model: modelId, apiKey: 'none' },
      configuration: { baseURL: `${server.url}/v1` },
    });
    const [first = [], second = []] = await embeddings.embedDocuments(['one', 'two']);
    const query = await embeddings.embedQuery('two');
    expect(first).toHaveLength(second.length);
    for (const [index, value] of query.entries()) expect(second[index]).toBeCloseTo(value, 2);
  });
});

describe('an error', () => {
  let server: TestServer;
  const ask = (apiKey: string, prompt = 'Hello!', fields: object = {}) =>
    chatOf(server, { apiKey, maxTokens: 5, ...fields }).invoke(prompt);

  beforeAll(async () => {
    server = await serveWithKeys();
  });

  test('has its status and code', async () => {
    await expect(ask(unknownKey)).rejects.toMatchObject({ status: 401 });
    await ask(slowKey);
    await expect(ask(slowKey)).rejects.toMatchObject({ status: 429, code: 'rate_limit_exceeded' });
    await expect(ask(goodKey, 'Hello!', { temperature: -1 })).rejects.toMatchObject({
      ...{ status: 400, param: 'temperature' },
    });
  });

  test('of the context is recognised', async () => {
    const error = await ask(goodKey, longPrompt).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'ContextOverflowError' });
  });

  test('of time ends the request', async () => {
    const call = ask(goodKey, 'Hello!', {
      ...{ maxTokens: 4000, timeout: 200, modelKwargs: { ignore_eos: true } },
    });
    await expect(call).rejects.toMatchObject({ name: 'TimeoutError' });
    await server.untilQueue({ active: 0, waiting: 0 });
  });
});
