/**
 * The cases by which the Open Responses specification judges a server, each under the name it has there, on the bundled
 * model: what a client that knows nothing of this server may rely on.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { fitsOpenAiSchema, hasOpenAiSchemas } from '../support/openai-schemas.ts';
import { parseNamedSse } from '../support/read-sse.ts';
import { startSharedServer, type TestServer } from '../support/start-server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startSharedServer({});
});

interface Item {
  readonly type: string;
  readonly id: string;
  readonly status: string;
  readonly role?: string;
  readonly content?: readonly { readonly type: string; readonly text: string }[];
  readonly call_id?: string;
  readonly name?: string;
  readonly arguments?: string;
}

interface Reply {
  readonly object: string;
  readonly status: string;
  readonly output: readonly Item[];
  readonly usage: { readonly input_tokens: number; readonly total_tokens: number };
}

const model = 'tiny-chat';
const weatherTool = {
  type: 'function',
  name: 'get_weather',
  description: 'Get the current weather for a location',
  parameters: {
    type: 'object',
    properties: { location: { type: 'string', description: 'A city', maxLength: 40 } },
    required: ['location'],
    additionalProperties: false,
  },
};
const weather = {
  model,
  input: [{ type: 'message', role: 'user', content: 'What is the weather in Paris?' }],
  tools: [weatherTool],
  tool_choice: 'required',
};

function post(body: object): Promise<Response> {
  return fetch(`${server.url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ temperature: 0, max_output_tokens: 200, ...body }),
  });
}

async function answered(body: object): Promise<Reply> {
  const reply = await post(body);
  expect(reply.status).toBe(200);
  const response = (await reply.json()) as Reply;
  checkResponse(response);
  return response;
}

/** In the reference's own examples, `user` and the `usage` of a response that runs are null, which its schema does not allow. */
function asInSchema(value: object): object {
  const isNull = (key: string, each: unknown) => each === null && /^(user|usage)$/.test(key);
  return JSON.parse(JSON.stringify(value, (key, each) => (isNull(key, each) ? undefined : each)));
}

function checkResponse(response: Reply): void {
  if (hasOpenAiSchemas) expect(fitsOpenAiSchema('Response', asInSchema(response))).toBe(true);
  expect(response).toMatchObject({ object: 'response', status: 'completed', error: null });
  expect(response.output.length).toBeGreaterThan(0);
  for (const { id, status } of response.output) {
    expect(id).not.toBe('');
    expect(status).toBe('completed');
  }
}

function textOf({ output }: Reply): string {
  const message = output.find(({ type }) => type === 'message');
  expect(message?.role).toBe('assistant');
  return (message?.content ?? []).map(({ text }) => text).join('');
}

/** The events of a stream, numbered from 0, and the response that it ends with. */
async function streamed(body: object) {
  const reply = await post({ ...body, stream: true });
  expect(reply.headers.get('content-type')).toMatch(/^text\/event-stream/);
  const events = parseNamedSse(await reply.text());
  expect(events.map(({ json }) => json.sequence_number)).toEqual(events.map((_, index) => index));
  for (const { event, json } of events) {
    expect(json.type).toBe(event);
    if (!hasOpenAiSchemas) continue;
    expect(fitsOpenAiSchema('ResponseStreamEvent', asInSchema(json)), event).toBe(true);
  }
  expect(events.slice(0, 2).map(({ event }) => event)).toEqual([
    ...['response.created', 'response.in_progress'],
  ]);
  const last = events.at(-1);
  expect(last?.event).toBe('response.completed');
  const response = last?.json.response as Reply;
  checkResponse(response);
  const deltas = (type: string) =>
    events.filter(({ event }) => event === type).map(({ json }) => String(json.delta));
  return { names: events.map(({ event }) => event), deltas, response };
}

describe('Open Responses', () => {
  test('basic response', async () => {
    const response = await answered({
      ...{ model, input: [{ type: 'message', role: 'user', content: 'Who are you?' }] },
    });
    expect(textOf(response)).not.toBe('');
    expect(response.usage.total_tokens).toBeGreaterThan(response.usage.input_tokens);
  });

  test('streaming response', async () => {
    const { names, deltas, response } = await streamed({ model, input: 'Who are you?' });
    expect(names).toEqual(
      expect.arrayContaining([
        ...['response.output_item.added', 'response.content_part.added'],
        ...['response.output_text.done', 'response.content_part.done'],
        'response.output_item.done',
      ]),
    );
    expect(deltas('response.output_text.delta').join('')).toBe(textOf(response));
  });

  test('system prompt', async () => {
    const question = { type: 'message', role: 'user', content: 'Who are you?' };
    const system = { type: 'message', role: 'system', content: 'You are a pirate.' };
    const plain = await answered({ model, input: [question] });
    const prompted = await answered({ model, input: [system, question] });
    expect(textOf(prompted)).not.toBe('');
    expect(prompted.usage.input_tokens).toBeGreaterThan(plain.usage.input_tokens);
  });

  test('tool calling', async () => {
    const { output } = await answered(weather);
    const call = output.find(({ type }) => type === 'function_call');
    expect(call?.name).toBe('get_weather');
    expect(call?.call_id).not.toBe('');
    expect(JSON.parse(call?.arguments ?? '')).toEqual({ location: expect.any(String) });
  });

  test('streamed tool calling', async () => {
    const { names, deltas, response } = await streamed(weather);
    const call = response.output.find(({ type }) => type === 'function_call');
    expect(names).toContain('response.function_call_arguments.done');
    expect(deltas('response.function_call_arguments.delta').join('')).toBe(call?.arguments);
    expect(call?.name).toBe('get_weather');
  });

  test('image input is refused by its place', async () => {
    const image = { type: 'input_image', image_url: 'data:image/png;base64,iVBORw0KGgo=' };
    const content = [{ type: 'input_text', text: 'What is in this image?' }, image];
    const reply = await post({ model, input: [{ type: 'message', role: 'user', content }] });
    expect(reply.status).toBe(400);
    expect(await reply.json()).toMatchObject({
      error: { type: 'invalid_request_error', param: 'input[0].content[1]' },
    });
  });

  test('multi-turn conversation', async () => {
    const response = await answered({
      model,
      input: [
        { type: 'message', role: 'user', content: 'My name is Ada.' },
        { type: 'message', role: 'assistant', content: 'Hello Ada! How can I help you?' },
        { type: 'message', role: 'user', content: 'What is my name?' },
      ],
    });
    expect(textOf(response)).not.toBe('');
  });
});
