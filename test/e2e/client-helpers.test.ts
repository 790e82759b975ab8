/** What the official client does by itself, against the running server and its bundled model. */
import OpenAI from 'openai';
import { beforeAll, describe, expect, test } from 'vitest';
import { startLoadingServer, startSharedServer, type TestServer } from '../support/start-server.ts';

const model = 'tiny-chat';
/** What the model says most likely, with room for all of it. */
const greedy = { model, max_tokens: 200, temperature: 0 };
const ask = (content: string) => [{ role: 'user', content } as const];

let server: TestServer;
let client: OpenAI;

beforeAll(async () => {
  server = await startSharedServer({});
  client = server.client;
});

interface WeatherCall {
  readonly city: string;
}

function weatherTool(asked: WeatherCall[]) {
  return {
    type: 'function' as const,
    function: {
      name: 'get_weather',
      description: 'Current weather in a city',
      parameters: {
        type: 'object',
        properties: { city: { type: 'string' } },
        required: ['city'],
      },
      parse: (text: string) => JSON.parse(text) as WeatherCall,
      function: (call: WeatherCall) => {
        asked.push(call);
        return { condition: 'sunny', temperature: 21 };
      },
    },
  };
}

describe('the client’s helpers', () => {
  test('parse what a schema describes', async () => {
    const completion = await client.chat.completions.parse({
      ...greedy,
      messages: ask('Give me a JSON object with name Ada and age 36'),
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 'person',
          strict: true,
          schema: {
            type: 'object',
            properties: { name: { type: 'string', maxLength: 20 }, age: { type: 'integer' } },
            required: ['name', 'age'],
            additionalProperties: false,
          },
        },
      },
    });
    const [choice] = completion.choices;
    expect(choice?.finish_reason).toBe('stop');
    expect(choice?.message.parsed).toEqual({
      name: expect.any(String),
      age: expect.any(Number),
    });
  });

  test('parse the arguments of a strict function', async () => {
    const completion = await client.chat.completions.parse({
      ...greedy,
      messages: ask('What is the weather in Paris?'),
      tool_choice: 'required',
      tools: [
        {
          type: 'function',
          function: {
            name: 'get_weather',
            strict: true,
            parameters: {
              type: 'object',
              properties: { city: { type: 'string', maxLength: 20 } },
              required: ['city'],
              additionalProperties: false,
            },
          },
        },
      ],
    });
    const [call] = completion.choices[0]?.message.tool_calls ?? [];
    expect(call?.function).toMatchObject({
      name: 'get_weather',
      parsed_arguments: { city: expect.any(String) },
    });
  });

  test.each([false, true])('run tools to a final answer, streamed: %s', async (stream) => {
    const asked: WeatherCall[] = [];
    const body = {
      ...greedy,
      messages: ask('What is the weather in Paris?'),
      tools: [weatherTool(asked)],
    };
    const runner = stream
      ? client.chat.completions.runTools({
          ...body,
          stream: true,
          stream_options: { include_usage: true },
        })
      : client.chat.completions.runTools(body);
    const answer = await runner.finalContent();
    expect(asked).toEqual([{ city: 'Paris' }]);
    expect(answer).toContain('sunny');
    expect((await runner.totalUsage()).completion_tokens).toBeGreaterThan(10);
  });

  test('put a streamed reply together, with its events', async () => {
    const body = { model, messages: ask('Count from 1 to 5'), temperature: 0, max_tokens: 60 };
    const runner = client.chat.completions.stream(body);
    const snapshots: string[] = [];
    runner.on('content', (_delta, snapshot) => snapshots.push(snapshot));
    const whole = await client.chat.completions.create(body);
    expect(await runner.finalContent()).toBe(whole.choices[0]?.message.content);
    expect(snapshots.at(-1)).toBe(whole.choices[0]?.message.content);
  });

  test('complete texts, embed them, and list the models', async () => {
    const completion = await client.completions.create({ model, prompt: 'Hello', max_tokens: 4 });
    expect(completion.usage?.completion_tokens).toBeLessThanOrEqual(4);
    const embedded = await client.embeddings.create({ model, input: ['one', 'two'] });
    expect(embedded.data.map(({ embedding }) => embedding.length)).toEqual([192, 192]);
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual([model]);
  });

  test('abort a stream', async () => {
    const stream = await client.chat.completions.create(
      { model, messages: ask('Count from 1 to 90'), stream: true, ...{ ignore_eos: true } },
      { headers: { 'x-request-id': 'left' } },
    );
    for await (const _chunk of stream) {
      stream.controller.abort();
      break;
    }
    await server.untilQueue({ active: 0, waiting: 0 });
    expect(await server.line('request completed', { requestId: 'left' })).toMatchObject({
      finishReason: 'cancelled',
    });
  });
});

test('a client that may retry waits for the model to load', async () => {
  const { server: loading, finishLoading } = await startLoadingServer({});
  const patient = new OpenAI({ baseURL: `${loading.url}/v1`, apiKey: 'none', maxRetries: 8 });
  const answer = patient.chat.completions.create({
    model,
    messages: ask('Hello!'),
    max_tokens: 20,
  });
  await loading.line('request completed', { status: 503 });
  finishLoading();
  const reply = await answer;
  expect(reply.choices[0]?.message.content).not.toBe('');
});
