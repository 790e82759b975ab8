/** What replies and streams have beside their text, where a request asks for it. */
import { describe, expect, test } from 'vitest';
import { tokenLogprob } from '../support/fake-engine.ts';
import { chatBody, postChat, postText, startGateway } from '../support/start-gateway.ts';

interface Chunk {
  readonly usage?: unknown;
  readonly prompt_token_ids?: readonly number[];
  readonly prompt_progress?: object;
  readonly choices: readonly (Record<string, unknown> & {
    readonly index: number;
    readonly token_ids?: readonly number[];
  })[];
}

function chunksOf(body: string): Chunk[] {
  return body
    .split('\n\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line) => JSON.parse(line.slice(6)) as Chunk);
}

/** A gateway whose engine samples the tokens 11, 12 and 13. */
function startWithTokens() {
  const gateway = startGateway();
  const { script } = gateway.engine;
  script.parts = [
    { type: 'text-delta', text: 'Hello', ids: [11] },
    { type: 'text-delta', text: ' world', ids: [12, 13] },
  ];
  return gateway;
}

const prompt = [1, 2, 3];
const promptOfText = [1, 2, 3, 4];

describe('token ids', () => {
  test('of a chat', async () => {
    const { app } = startWithTokens();
    const reply = (await postChat(app, { return_token_ids: true, n: 2 })).json();
    expect(reply.prompt_token_ids).toEqual(prompt);
    for (const choice of reply.choices) expect(choice.token_ids).toEqual([11, 12, 13]);
  });

  test('of a text completion', async () => {
    const { app } = startWithTokens();
    const reply = (await postText(app, { return_token_ids: true })).json();
    expect(reply.choices[0]).toMatchObject({
      prompt_token_ids: promptOfText,
      token_ids: [11, 12, 13],
    });
  });

  test('of streams', async () => {
    for (const [post, isChat] of [
      [postChat, true],
      [postText, false],
    ] as const) {
      const { app } = startWithTokens();
      const fields = { return_token_ids: true, stream: true };
      const [first, ...others] = chunksOf((await post(app, fields)).body);
      if (isChat) expect(first?.prompt_token_ids).toEqual(prompt);
      else expect(first?.choices[0]).toMatchObject({ prompt_token_ids: promptOfText });
      expect(others.flatMap(({ choices }) => choices[0]?.token_ids ?? [])).toEqual([11, 12, 13]);
    }
  });

  test('are left out unless they are asked for', async () => {
    const { app } = startWithTokens();
    expect((await postChat(app)).body).not.toContain('token_ids');
    expect((await postChat(app, { stream: true })).body).not.toContain('token_ids');
  });
});

describe('log probabilities', () => {
  const scored = [
    tokenLogprob('Hi', -0.5, 0, [
      ['Hi', -0.5],
      ['Ho', -1],
    ]),
  ];

  test('name their tokens by ids on request', async () => {
    const { app, engine } = startGateway();
    engine.script.parts = [{ type: 'text-delta', text: 'Hi', tokens: scored }];
    const fields = { return_tokens_as_token_ids: true, logprobs: true, top_logprobs: 2 };
    const [chat] = (await postChat(app, fields)).json().choices;
    expect(chat.logprobs.content[0]).toMatchObject({
      token: 'token_id:72',
      top_logprobs: [{ token: 'token_id:72' }, { token: 'token_id:72' }],
    });
    const [text] = (await postText(app, { ...fields, logprobs: 2, top_logprobs: null })).json()
      .choices;
    expect(text.logprobs).toMatchObject({
      tokens: ['token_id:72'],
      top_logprobs: [{ 'token_id:72': -0.5 }],
    });
  });

  test('are asked for by n_probs', async () => {
    const { app, engine } = startGateway();
    engine.script.parts = [{ type: 'text-delta', text: 'Hi', tokens: scored }];
    const [chat] = (await postChat(app, { n_probs: 1 })).json().choices;
    expect(chat.logprobs.content[0].top_logprobs).toHaveLength(1);
    const [text] = (await postText(app, { n_probs: 1 })).json().choices;
    expect(text.logprobs.top_logprobs).toEqual([{ Hi: -0.5 }]);
  });
});

describe('log probabilities of the prompt', () => {
  const first = tokenLogprob('a', undefined);
  const second = {
    ...tokenLogprob('b', -3, 0, [
      ['c', -0.1],
      ['d', -2],
    ]),
    rank: 7,
  };
  const expected = [
    null,
    {
      98: { logprob: -3, rank: 7, decoded_token: 'b' },
      99: { logprob: -0.1, rank: 1, decoded_token: 'c' },
    },
  ];

  test('have ranks and ids, in chats and in text completions', async () => {
    const { app, engine } = startGateway();
    engine.script.promptTokens = [first, second];
    const chat = (await postChat(app, { prompt_logprobs: 1 })).json();
    expect(chat.prompt_logprobs).toEqual(expected);
    expect(chat.choices[0].logprobs).toBeNull();
    const text = (await postText(app, { prompt_logprobs: 1, n: 2 })).json();
    for (const choice of text.choices) expect(choice.prompt_logprobs).toEqual(expected);
    expect(text.choices[0].logprobs).toBeNull();
  });
});

describe('the usage so far', () => {
  test('is in every chunk, and the totals in the last', async () => {
    for (const post of [postChat, postText]) {
      const { app } = startWithTokens();
      const options = { continuous_usage_stats: true, include_usage: true };
      const fields = { stream: true, stream_options: options };
      const chunks = chunksOf((await post(app, fields)).body);
      const last = chunks.pop();
      expect(last).toMatchObject({ choices: [], usage: { prompt_tokens_details: {} } });
      const promptTokenCount = post === postChat ? 3 : 4;
      const counts = chunks.map(({ usage }) => {
        const { prompt_tokens, completion_tokens, total_tokens } = usage as Record<string, number>;
        expect(prompt_tokens).toBe(promptTokenCount);
        expect(total_tokens).toBe((prompt_tokens ?? 0) + (completion_tokens ?? 0));
        return completion_tokens;
      });
      expect(counts).toEqual(post === postChat ? [0, 1, 3, 3] : [1, 3, 3]);
    }
  });

  test('counts each choice by itself', async () => {
    const { app } = startWithTokens();
    const fields = { n: 2, stream: true, stream_options: { continuous_usage_stats: true } };
    const chunks = chunksOf((await postChat(app, fields)).body);
    for (const index of [0, 1]) {
      const own = chunks.filter(({ choices }) => choices[0]?.index === index);
      expect(own.at(-1)?.usage).toMatchObject({ completion_tokens: 3 });
    }
  });
});

describe('the progress of a prompt', () => {
  const progress = {
    type: 'prompt-progress',
    promptTokenCount: 3,
    cachedTokenCount: 1,
    processedTokenCount: 2,
    ms: 5.5,
  } as const;
  const expected = { total: 3, cache: 1, processed: 2, time_ms: 5.5 };

  test('is in chunks before the reply', async () => {
    for (const post of [postChat, postText]) {
      const { app, engine } = startGateway();
      engine.script.progress = [progress];
      const reply = await post(app, { return_progress: true, stream: true });
      const chunks = chunksOf(reply.body);
      const at = chunks.findIndex((chunk) => chunk.prompt_progress !== undefined);
      expect(at).toBe(post === postChat ? 1 : 0);
      expect(chunks[at]?.prompt_progress).toEqual(expected);
      expect(chunks[at]?.choices).toHaveLength(1);
      expect(chunks.filter((chunk) => chunk.prompt_progress !== undefined)).toHaveLength(1);
      const whole = await post(app, { return_progress: true });
      expect(whole.statusCode).toBe(200);
      expect(whole.body).not.toContain('prompt_progress');
    }
  });
});

describe('the reason of the end', () => {
  test.each([
    [{ stopText: 'END' }, 'END'],
    [{ stopToken: 7 }, 7],
    [{}, null],
  ])('%j', async (ending, expected) => {
    for (const post of [postChat, postText]) {
      const { app, engine } = startGateway();
      engine.script.ending = ending;
      const fields = { stop: 'END', stop_token_ids: [7] };
      expect((await post(app, fields)).json().choices[0].stop_reason).toBe(expected);
      const stream = chunksOf((await post(app, { ...fields, stream: true })).body);
      expect(stream.at(-1)?.choices[0]?.stop_reason).toBe(expected);
      expect((await post(app, { stop: 'END' })).json().choices[0]).not.toHaveProperty(
        'stop_reason',
      );
    }
  });
});

describe('the end of a prompt', () => {
  const user = { role: 'user', content: 'Go' };
  const assistant = { role: 'assistant', content: 'Once' };
  const call = { id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } };
  const calling = { role: 'assistant', content: null, tool_calls: [call] };
  const thinking = { role: 'assistant', content: '', reasoning_content: 'Hm' };

  test.each<[object[], Record<string, unknown>, string | undefined]>([
    [[user], {}, undefined],
    [[user], { add_generation_prompt: true }, 'turn'],
    [[user], { add_generation_prompt: false }, 'closed'],
    [[user, assistant], {}, undefined],
    [[user, assistant], { continue_final_message: true }, undefined],
    [[user, assistant], { continue_final_message: 'content' }, undefined],
    [[user, thinking], { continue_final_message: 'reasoning_content' }, undefined],
    [[user, assistant], { continue_final_message: true, add_generation_prompt: false }, undefined],
    [[user, assistant], { continue_final_message: false }, 'turn'],
    [[user, assistant], { continue_final_message: false, add_generation_prompt: true }, 'turn'],
    [[user, assistant], { add_generation_prompt: true }, 'turn'],
    [[user, assistant], { add_generation_prompt: false }, 'closed'],
  ])('%j with %j', async (messages, fields, ending) => {
    const { app, engine } = startGateway();
    const reply = await postChat(app, { messages, ...fields });
    expect(reply.statusCode, reply.body).toBe(200);
    expect(engine.chatOptions[0]?.ending).toBe(ending);
    await app.inject({
      method: 'POST',
      url: '/apply-template',
      payload: chatBody({ messages, ...fields }),
    });
    expect(engine.chatOptions[1]?.ending).toBe(ending);
  });

  test.each<[object[], Record<string, unknown>]>([
    [[user], { continue_final_message: true }],
    [[user, calling], { continue_final_message: true }],
    [[user, assistant], { continue_final_message: true, add_generation_prompt: true }],
    [[user, assistant], { continue_final_message: 'reasoning_content' }],
    [[user, thinking], { continue_final_message: 'content' }],
    [[user, assistant], { continue_final_message: 'all' }],
  ])('%j with %j is refused', async (messages, fields) => {
    const { app } = startGateway();
    const reply = await postChat(app, { messages, ...fields });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({
      param: 'continue_final_message',
      code: 'invalid_value',
    });
  });
});

describe('an echo of a chat', () => {
  const messages = [
    { role: 'user', content: 'Go' },
    { role: 'assistant', content: 'Once ' },
  ];

  test('begins the content with the last message of the assistant', async () => {
    const { app } = startGateway();
    const whole = await postChat(app, { messages, echo: true });
    expect(whole.json().choices[0].message.content).toBe('Once Hello world');
    const stream = chunksOf((await postChat(app, { messages, echo: true, stream: true })).body);
    expect(stream[0]?.choices[0]?.delta).toEqual({
      role: 'assistant',
      content: 'Once ',
      refusal: null,
    });
    const plain = await postChat(app, { echo: true });
    expect(plain.json().choices[0].message.content).toBe('Hello world');
  });
});

test('requests with different salts share no prefix, within one key either', async () => {
  const { app, engine } = startGateway();
  for (const cache_salt of ['a', 'b', 'a', '']) await postChat(app, { cache_salt });
  const [a, b, again, none] = engine.requests.map(({ cacheScope }) => cacheScope);
  expect(a).toBe(again);
  expect(new Set([a, b, none]).size).toBe(3);
  expect(none).toBeUndefined();
});
