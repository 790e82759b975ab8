/** The Responses API as OpenAI's client and its helpers use it. */
import OpenAI from 'openai';
import { zodResponsesFunction, zodTextFormat } from 'openai/helpers/zod';
import { beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { startSharedServer, temporaryFolder } from '../../support/start-server.ts';
import { longPrompt, modelId, servedModels, serveModel, warm } from './served-models.ts';

const model = modelId;
const greedy = { model, temperature: 0, max_output_tokens: 200 };
const weatherQuestion = 'What is the weather in Paris?';
const Weather = z.object({ city: z.string().max(30) });

describe.each(servedModels)('on $name', (served) => {
  let client: OpenAI;

  beforeAll(async () => {
    const { url } = await serveModel(served);
    client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
  });

  test('a response is the same whole and as a stream', async () => {
    const body = { ...greedy, input: 'Who are you?', max_output_tokens: 40 };
    await warm(() => client.responses.create(body));
    const whole = await client.responses.create(body);
    const stream = client.responses.stream(body);
    const texts: string[] = [];
    stream.on('response.output_text.delta', ({ delta }) => texts.push(delta));
    const streamed = await stream.finalResponse();
    expect(whole.output_text).not.toBe('');
    expect(streamed.output_text).toBe(whole.output_text);
    expect(texts.join('')).toBe(whole.output_text);
    expect(streamed.status).toBe(whole.status);
    expect(streamed.usage).toEqual(whole.usage);
  });

  test('a reply has the types of zod', async () => {
    const Order = z.object({
      id: z.uuid(),
      kind: z.enum(['new', 'paid']),
      count: z.int().min(1).max(20),
      note: z.string().max(20).nullable(),
    });
    const reply = await client.responses.parse({
      ...greedy,
      input: 'Write an order.',
      max_output_tokens: 500,
      text: { format: zodTextFormat(Order, 'order') },
    });
    expect(reply.status).toBe('completed');
    expect(Order.parse(reply.output_parsed)).toBeTruthy();
  });

  test('a function is called, and its result answered in the next turn', async () => {
    const tools = [zodResponsesFunction({ name: 'get_weather', parameters: Weather })];
    const first = await client.responses.parse({
      ...greedy,
      input: weatherQuestion,
      tools,
      tool_choice: { type: 'function', name: 'get_weather' },
    });
    const call = first.output.find((item) => item.type === 'function_call');
    expect(Weather.parse(call?.parsed_arguments)).toBeTruthy();
    if (call === undefined) return;
    const second = await client.responses.create({
      ...greedy,
      input: [
        { role: 'user', content: weatherQuestion },
        ...(first.output as object as OpenAI.Responses.ResponseInputItem[]),
        {
          type: 'function_call_output',
          call_id: call.call_id,
          output: '{"condition": "sunny", "temperature": 21}',
        },
      ],
      tools,
      tool_choice: 'none',
    });
    expect(second.output_text).not.toBe('');
    if (served.isTrained) expect(second.output_text).toContain('sunny');
  });

  test('a custom tool is called with a text that its grammar allows', async () => {
    const definition = 'start: "add " NUMBER ("," NUMBER)~0..3\nNUMBER: /[1-9]/';
    const stream = client.responses.stream({
      ...greedy,
      input: 'Add some numbers.',
      tools: [
        {
          ...{ type: 'custom', name: 'calculate', description: 'Adds numbers' },
          format: { type: 'grammar', syntax: 'lark', definition },
        },
      ],
      tool_choice: { type: 'custom', name: 'calculate' },
    });
    const response = await stream.finalResponse();
    const call = response.output.find((item) => item.type === 'custom_tool_call');
    expect(call?.input).toMatch(/^add [1-9](,[1-9]){0,3}$/);
  });

  test('a prompt beyond the context is refused', async () => {
    const call = client.responses.create({ ...greedy, input: longPrompt });
    await expect(call).rejects.toThrow(OpenAI.BadRequestError);
    await expect(call).rejects.toMatchObject({ code: 'context_length_exceeded', param: 'input' });
  });
});

test('a kept conversation goes on after the server was killed', async () => {
  const dataDir = temporaryFolder();
  const env = { DATA_DIR: dataDir, RESPONSES_STORE: 'true' };
  const start = async () => {
    const server = await startSharedServer({ env, flags: ['--model-alias', modelId] });
    const options = { baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 };
    return { server, client: new OpenAI(options) };
  };
  const before = await start();
  const first = await before.client.responses.create({ ...greedy, input: 'Who are you?' });
  expect(first).toMatchObject({ store: true });
  await before.server.kill();

  const { client } = await start();
  expect(await client.responses.retrieve(first.id)).toMatchObject({ id: first.id });
  const second = await client.responses.create({
    ...greedy,
    input: 'And what can you do?',
    previous_response_id: first.id,
  });
  expect(second.usage?.input_tokens).toBeGreaterThan(first.usage?.input_tokens ?? 0);
  const { data } = await client.responses.inputItems.list(second.id);
  expect(data).toHaveLength(1);
  await client.responses.delete(first.id);
  await expect(client.responses.retrieve(first.id)).rejects.toThrow(OpenAI.NotFoundError);
});
