import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { ChatCompletion, ChatCompletionChunk } from '../../src/api/chat/chat-shapes.ts';
import { Completion, CompletionChunk } from '../../src/api/text/completion-shapes.ts';
import { GatewayError } from '../../src/core/errors.ts';
import type { ReplyDelta } from '../../src/engine/generator.ts';
import { type FakeEngine, tokenLogprob } from '../support/fake-engine.ts';
import { fitsOpenAiSchema, hasOpenAiSchemas } from '../support/openai-schemas.ts';
import { parseSse } from '../support/read-sse.ts';
import { postChat, postText, startGateway } from '../support/start-gateway.ts';

/** "Hi 😀": the second character comes in two tokens, the first of which is held back. */
const parts: readonly ReplyDelta[] = [
  {
    type: 'text-delta',
    text: 'Hi ',
    tokens: [
      tokenLogprob('Hi ', -0.5, 0, [
        ['Hi ', -0.5],
        ['Yo', -1.5],
      ]),
    ],
  },
  {
    type: 'text-delta',
    text: '😀',
    tokens: [
      tokenLogprob(Buffer.from([0xf0, 0x9f]), -0.25, 3, [
        ['x', -0.125],
        [Buffer.from([0xf0, 0x9f]), -0.25],
      ]),
      tokenLogprob(Buffer.from([0x98, 0x80]), -Infinity, 3, [
        ['<|im_end|>', -1],
        ['x', -2],
      ]),
    ],
  },
];

const chatContent = [
  {
    token: 'Hi ',
    logprob: -0.5,
    bytes: [72, 105, 32],
    top_logprobs: [
      { token: 'Hi ', logprob: -0.5, bytes: [72, 105, 32] },
      { token: 'Yo', logprob: -1.5, bytes: [89, 111] },
    ],
  },
  {
    token: '�',
    logprob: -0.25,
    bytes: [0xf0, 0x9f],
    top_logprobs: [
      { token: 'x', logprob: -0.125, bytes: [120] },
      { token: '�', logprob: -0.25, bytes: [0xf0, 0x9f] },
    ],
  },
  {
    token: '��',
    logprob: -9999,
    bytes: [0x98, 0x80],
    top_logprobs: [
      { token: '<|im_end|>', logprob: -1, bytes: [...Buffer.from('<|im_end|>')] },
      { token: 'x', logprob: -2, bytes: [120] },
    ],
  },
];

function chunksOf<Chunk>(body: string): Chunk[] {
  return parseSse(body).flatMap((frame) => (frame === 'done' ? [] : [frame.json as Chunk]));
}

function sayScored(engine: FakeEngine): void {
  engine.script.parts = parts;
}

describe('log probabilities of a chat', () => {
  test('are there for every token, in bytes and text', async () => {
    const { app, engine } = startGateway();
    sayScored(engine);
    const reply = await postChat(app, { logprobs: true, top_logprobs: 2, n: 2 });
    expect(reply.statusCode, reply.body).toBe(200);
    expect(Schema.Check(ChatCompletion, reply.json())).toBe(true);
    for (const { logprobs } of reply.json().choices) {
      expect(logprobs).toEqual({ content: chatContent, refusal: null });
    }
    for (const { logprobs } of engine.requests) {
      expect(logprobs).toEqual({ topCount: 2, prompt: false });
    }
  });

  test('come with the chunk whose text they belong to', async () => {
    const { app, engine } = startGateway();
    sayScored(engine);
    const reply = await postChat(app, { logprobs: true, top_logprobs: 2, stream: true });
    const chunks = chunksOf<ChatCompletionChunk>(reply.body);
    for (const chunk of chunks) expect(Schema.Check(ChatCompletionChunk, chunk)).toBe(true);
    expect(chunks.map(({ choices }) => choices[0]?.logprobs)).toEqual([
      null,
      { content: chatContent.slice(0, 1), refusal: null },
      { content: chatContent.slice(1), refusal: null },
      null,
    ]);
  });

  test('come with reasoning and calls as well, the last ones with the end', async () => {
    const { app, engine } = startGateway();
    const tokens = ['<think>hm', '{"name"', '}'].map((text) => tokenLogprob(text, -1));
    const [first, second, third] = tokens.map((token) => [token]);
    engine.script.parts = [
      { type: 'reasoning-delta', text: 'hm', ...(first && { tokens: first }) },
      { type: 'tool-call', index: 0, id: 'call_1', name: 'f' },
      { type: 'tool-call-delta', index: 0, arguments: '{}', ...(second && { tokens: second }) },
    ];
    engine.script.finishReason = 'tool-calls';
    engine.script.endTokens = third ?? [];
    const whole = (await postChat(app, { logprobs: true })).json();
    const texts = whole.choices[0].logprobs.content.map(({ token }: { token: string }) => token);
    expect(texts).toEqual(['<think>hm', '{"name"', '}']);

    const { body } = await postChat(app, { logprobs: true, stream: true });
    const pieces = chunksOf<ChatCompletionChunk>(body).map(({ choices: [choice] }) => [
      Object.keys(choice?.delta ?? {}).at(-1),
      choice?.logprobs?.content.map(({ token }) => token).join(''),
    ]);
    expect(pieces).toEqual([
      ['refusal', undefined],
      ['reasoning_content', '<think>hm'],
      ['tool_calls', undefined],
      ['tool_calls', '{"name"'],
      [undefined, '}'],
    ]);
  });

  test.each([{}, { logprobs: false }, { logprobs: null, top_logprobs: 0 }])(
    'are neither computed nor sent for %j',
    async (fields) => {
      const { app, engine } = startGateway();
      const reply = await postChat(app, fields);
      expect(reply.json().choices[0].logprobs).toBeNull();
      expect(engine.requests[0]).not.toHaveProperty('logprobs');
    },
  );

  test.each([
    [{ top_logprobs: 2 }, 'top_logprobs', 'together with `logprobs: true`'],
    [{ top_logprobs: 2, logprobs: false }, 'top_logprobs', 'together with `logprobs: true`'],
    [{ top_logprobs: 21, logprobs: true }, 'top_logprobs', 'between 0 and 20'],
    [{ top_logprobs: -1, logprobs: true }, 'top_logprobs', 'between 0 and 20'],
    [{ logprobs: 3 }, 'logprobs', 'must be a boolean or null, received 3'],
  ])('are refused for %j', async (fields, param, message) => {
    const { app, engine } = startGateway();
    const reply = await postChat(app, fields);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param, code: 'invalid_value' });
    expect(reply.json().error.message).toContain(message);
    expect(engine.requests).toEqual([]);
  });

  test('fit the official schema, whole and in a stream', async ({ skip }) => {
    if (!hasOpenAiSchemas) return skip('OPENAI_SCHEMAS is not set');
    const { app, engine } = startGateway();
    sayScored(engine);
    const whole = (await postChat(app, { logprobs: true, top_logprobs: 2 })).json();
    expect(fitsOpenAiSchema('CreateChatCompletionResponse', whole)).toBe(true);
    const { body } = await postChat(app, { logprobs: true, top_logprobs: 2, stream: true });
    for (const chunk of chunksOf(body)) {
      expect(fitsOpenAiSchema('CreateChatCompletionStreamResponse', chunk)).toBe(true);
    }
  });
});

describe('log probabilities of a text completion', () => {
  const completion = {
    tokens: ['Hi ', 'bytes:\\xf0\\x9f', 'bytes:\\x98\\x80'],
    token_logprobs: [-0.5, -0.25, -9999],
    top_logprobs: [
      { 'Hi ': -0.5, Yo: -1.5 },
      { x: -0.125, 'bytes:\\xf0\\x9f': -0.25 },
      // The token itself comes on top of those asked for.
      { '<|im_end|>': -1, x: -2, 'bytes:\\x98\\x80': -9999 },
    ],
  };

  test('are columns, with the place of each token in the text', async () => {
    const { app, engine } = startGateway();
    sayScored(engine);
    const reply = await postText(app, { logprobs: 2 });
    expect(reply.statusCode, reply.body).toBe(200);
    expect(Schema.Check(Completion, reply.json())).toBe(true);
    expect(reply.json().choices[0].logprobs).toEqual({ ...completion, text_offset: [0, 3, 3] });
    expect(engine.requests[0]?.logprobs).toEqual({ topCount: 2, prompt: false });
  });

  test('are not there unless they are asked for', async () => {
    const { app, engine } = startGateway();
    expect((await postText(app)).json().choices[0].logprobs).toBeNull();
    expect(engine.requests[0]).not.toHaveProperty('logprobs');
  });

  const echoed = {
    tokens: ['<s>', ' é', 'bytes:\\xe6\\xbc', 'bytes:\\xa2', ...completion.tokens],
    token_logprobs: [null, -1, -2, -3, ...completion.token_logprobs],
    top_logprobs: [
      null,
      { ' a': -0.75, ' é': -1 },
      { 'bytes:\\xe6\\xbc': -2 },
      { 'bytes:\\xa2': -3 },
      ...completion.top_logprobs,
    ],
    // Neither the BOS nor the space that the vocabulary put in front is in the text "é漢Hi 😀".
    text_offset: [0, 0, 1, 1, 2, 5, 5],
  };

  function sayEcho(engine: FakeEngine): void {
    sayScored(engine);
    engine.script.promptTokens = [
      tokenLogprob('<s>', undefined),
      tokenLogprob(' é', -1, 0, [[' a', -0.75]]),
      tokenLogprob(Buffer.from([0xe6, 0xbc]), -2),
      tokenLogprob(Buffer.from([0xa2]), -3),
    ];
  }

  test('begin with those of the prompt for `echo`, the first of them null', async () => {
    const { app, engine } = startGateway();
    sayEcho(engine);
    const body = { prompt: 'é漢', echo: true, logprobs: 2 };
    const reply = (await postText(app, body)).json();
    expect(Schema.Check(Completion, reply)).toBe(true);
    expect(reply.choices[0].text).toBe('é漢Hi 😀');
    expect(reply.choices[0].logprobs).toEqual(echoed);
  });

  test('of a prompt are computed once for all its choices', async () => {
    const { app, engine } = startGateway();
    sayEcho(engine);
    const body = { prompt: ['é漢', 'é漢'], n: 2, echo: true, logprobs: 2 };
    const { choices } = (await postText(app, body)).json() as Completion;
    expect(choices.map(({ logprobs }) => logprobs)).toEqual([echoed, echoed, echoed, echoed]);
    expect(engine.requests.filter(({ logprobs }) => logprobs?.prompt)).toHaveLength(2);
    expect(engine.requests.map(({ logprobs }) => logprobs?.topCount)).toEqual([2, 2, 2, 2]);
  });

  test('stream with the echo first, then with each piece', async () => {
    const { app, engine } = startGateway();
    sayEcho(engine);
    const body = { prompt: 'é漢', echo: true, logprobs: 2, n: 2, stream: true };
    const chunks = chunksOf<CompletionChunk>((await postText(app, body)).body);
    for (const chunk of chunks) expect(Schema.Check(CompletionChunk, chunk)).toBe(true);
    for (const index of [0, 1]) {
      const own = chunks.flatMap(({ choices }) => choices).filter((each) => each.index === index);
      expect(own.map(({ text }) => text)).toEqual(['é漢', 'Hi ', '😀', '']);
      expect(own.map(({ logprobs }) => logprobs?.text_offset)).toEqual([
        [0, 0, 1, 1],
        [2],
        [5, 5],
        undefined,
      ]);
      const columns = own.flatMap(({ logprobs }) => logprobs?.token_logprobs ?? []);
      expect(columns).toEqual(echoed.token_logprobs);
    }
  });

  test('of the prompt alone are had with `max_tokens: 0`', async () => {
    const { app, engine } = startGateway();
    sayEcho(engine);
    engine.script.parts = [];
    engine.script.finishReason = 'length';
    const body = { prompt: 'é漢', echo: true, logprobs: 0, max_tokens: 0 };
    const reply = (await postText(app, body)).json();
    expect(reply.choices[0]).toMatchObject({ text: 'é漢', finish_reason: 'length' });
    expect(reply.choices[0].logprobs.token_logprobs).toEqual([null, -1, -2, -3]);
    expect(engine.requests[0]).toMatchObject({ maxTokens: 0 });
  });

  test('leave the error plain when the prompt cannot be scored, whatever waits for it', async () => {
    const { app, engine } = startGateway();
    engine.script.failure = { at: 0, error: new GatewayError('sequence_failed') };
    const body = { echo: true, logprobs: 0, n: 3 };
    const reply = await postText(app, body);
    expect(reply.statusCode).toBe(500);
    expect(reply.json().error.code).toBe('sequence_failed');
    expect(engine.requests).toHaveLength(1);
  });

  test('fit the official schema, apart from the null of the first token', async ({ skip }) => {
    if (!hasOpenAiSchemas) return skip('OPENAI_SCHEMAS is not set');
    const { app, engine } = startGateway();
    sayScored(engine);
    const whole = (await postText(app, { logprobs: 2, echo: true })).json();
    expect(fitsOpenAiSchema('CreateCompletionResponse', whole)).toBe(true);
  });
});
