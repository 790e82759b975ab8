/** A request with several faults is answered once, with all of them. */
import { describe, expect, test } from 'vitest';
import {
  chatBody,
  postChat,
  postText,
  reuseGateway,
  startGateway,
} from '../support/start-gateway.ts';

type Gateway = ReturnType<typeof reuseGateway>['app'];

interface Refusal {
  readonly message: string;
  readonly param: string | null;
  readonly code: string;
}

function post(app: Gateway, url: string, payload: object) {
  return app.inject({ method: 'POST', url, payload });
}

/** The fields that the sentences of a message begin with. */
function named(message: string): string[] {
  return [...message.matchAll(/(?:^|\. )`([^`]+)`/g)].map(([, field = '']) => field);
}

function refusalOf(reply: { readonly statusCode: number; readonly body: string }): Refusal {
  expect(reply.statusCode, reply.body).toBe(400);
  return (JSON.parse(reply.body) as { error: Refusal }).error;
}

describe('one refusal names every fault', () => {
  test.each<[string, object, readonly string[]]>([
    [
      'of the schema',
      { temperature: 'hot', seed: 1.5, stop: 5, n: 0 },
      ['n', 'temperature', 'seed', 'stop'],
    ],
    [
      'of the schema and of what is not supported',
      { web_search_options: {}, temperature: 'hot', audio: {} },
      ['temperature', 'web_search_options', 'audio'],
    ],
    [
      'of the schema and of rules beyond it',
      {
        top_p: 7,
        logit_bias: { x: true },
        tools: [{ type: 'web_search' }, { type: 'function' }],
        messages: [
          { role: 'user', content: [{ type: 'image_url' }] },
          { role: 'user', content: [{ type: 'text' }] },
        ],
      },
      [
        'top_p',
        'messages[0].content[0]',
        'messages[1].content[0].text',
        'tools[0].type',
        'tools[1].function',
        'logit_bias.x',
      ],
    ],
    [
      'of the model',
      { n: 100, logit_bias: { 99999: 1 }, response_format: { type: 'xml' } },
      ['response_format.type', 'n', 'logit_bias'],
    ],
    [
      'in several items of an array',
      { stop: ['a', 1, 'b', {}], messages: [{ role: 'king', content: 'x' }, { content: 'x' }] },
      ['stop[1]', 'stop[3]', 'messages[0].role', 'messages[1].role'],
    ],
    ['where a required field is absent', { messages: undefined, n: 0 }, ['messages', 'n']],
  ])('%s', async (_name, fields, expected) => {
    const { app, engine } = reuseGateway();
    const { message, param } = refusalOf(await postChat(app, fields as Record<string, unknown>));
    expect(named(message).sort()).toEqual([...expected].sort());
    expect(named(message)[0]).toBe(param);
    expect(engine.requests).toEqual([]);
  });

  test('of a text completion', async () => {
    const { app } = reuseGateway();
    const fields = { tools: [{}], n: 3, best_of: 2, prompt: [1, 40_000], temperature: [] };
    const { message } = refusalOf(await postText(app, fields));
    expect(named(message)).toEqual(['temperature', 'tools', 'prompt[1]', 'best_of']);
  });

  test('of embeddings', async () => {
    const { app } = reuseGateway();
    const body = { input: [[1], [99_999]], dimensions: 99, encoding_format: 'hex', tools: [{}] };
    const { message } = refusalOf(await post(app, '/v1/embeddings', body));
    expect(named(message)).toEqual(['encoding_format', 'tools', 'dimensions', 'input[1][0]']);
  });

  test('of a ranking', async () => {
    const { app } = reuseGateway({
      embedding: { pooling: 'rank', width: 8, contextLength: 16 },
    });
    const body = { query: '', documents: ['a', 5], rank_fields: ['x'], overlap_tokens: 5 };
    const { message } = refusalOf(await post(app, '/v1/rerank', body));
    expect(named(message)).toEqual(['query', 'documents[1]', 'overlap_tokens', 'rank_fields']);
  });

  test.each(['/apply-template', '/v1/chat/completions/input_tokens'])('of %s', async (url) => {
    const { app } = reuseGateway();
    const body = chatBody({ temperature: -1, audio: {} });
    const { message } = refusalOf(await post(app, url, body));
    expect(named(message)).toEqual(['temperature', 'audio']);
  });
});

describe('a fault is named once', () => {
  test('where a value fails several keywords', async () => {
    const { app } = reuseGateway();
    const { message } = refusalOf(await postChat(app, { mirostat: 'x' }));
    expect(named(message)).toEqual(['mirostat']);
  });

  test.each<[object, string]>([
    [{ logprobs: 'yes', top_logprobs: 3 }, 'logprobs'],
    [{ tools: 5, tool_choice: 'required' }, 'tools'],
    [{ tools: [{ type: 'web_search' }], tool_choice: 'required' }, 'tools[0].type'],
    [{ stream: 'yes', stream_options: {} }, 'stream'],
    [{ n: 0, best_of: 5 }, 'n'],
  ])('where another field depends on it: %j', async (fields, param) => {
    const { app } = reuseGateway();
    const reply = await ('best_of' in fields ? postText : postChat)(app, { ...fields });
    const { message } = refusalOf(reply);
    expect(named(message)).toEqual([param]);
  });
});

describe('the work for a message is bounded', () => {
  test('twenty faults are named, the rest is counted', async () => {
    const { app } = reuseGateway();
    const { message } = refusalOf(
      await postChat(app, { stop: Array(16).fill(5), messages: Array(9).fill(5) }),
    );
    expect(named(message)).toHaveLength(20);
    expect(message).toMatch(/ 5 more fields are wrong\.$/);
  });

  test('a hundred faults are looked for', async () => {
    const { app } = reuseGateway();
    const ofSchema = { messages: Array(1000).fill({ role: 'king', content: 'x' }) };
    const ofRules = { messages: Array(1000).fill({ role: 'user', content: [{ type: 'file' }] }) };
    for (const body of [ofSchema, ofRules]) {
      const { message } = refusalOf(await postChat(app, body));
      expect(named(message)).toHaveLength(20);
      expect(message).toMatch(/ At least 80 more fields are wrong\.$/);
    }
  });

  test('a body of very many faults is refused by its first one', async () => {
    const { app } = startGateway();
    const { message, param } = refusalOf(
      await postChat(app, { messages: Array(200_000).fill(5), n: 0 }),
    );
    expect(message).toMatch(/^`n` must be an integer between 1 and 128/);
    expect(named(message)).toEqual([param]);
  });
});

test('a model that is still loading does not hide a fault', async () => {
  const { app } = startGateway({ loading: true });
  const { message } = refusalOf(await postChat(app, { temperature: -1, audio: {} }));
  expect(named(message)).toEqual(['temperature', 'audio']);
  expect((await postChat(app)).statusCode).toBe(503);
});

test.each([[], 'x', 5, true])('a body that is %j has no fields to name', async (payload) => {
  const { app } = reuseGateway();
  const reply = await app.inject({
    method: 'POST',
    url: '/v1/chat/completions',
    headers: { 'content-type': 'application/json' },
    payload: JSON.stringify(payload),
  });
  expect(refusalOf(reply).message).toContain('must be a JSON object');
});
