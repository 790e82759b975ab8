import OpenAI from 'openai';
import { beforeAll, describe, expect, test } from 'vitest';
import { expectSameGreedyTexts, type GreedyStep } from '../support/greedy-text.ts';
import {
  startServer,
  startSharedServer,
  type TestServer,
  testModelPath,
  tinyModelFile,
} from '../support/start-server.ts';

const streamCount = 16;
const contextLength = 16_384;
const user = (content: string) => [{ role: 'user', content } as const];
/** Of many lengths, for a model that takes anything. */
const storyPrompts = Array.from(
  { length: streamCount },
  (_, index) => `Story ${index}: ${'once more '.repeat(index * 2)}go`,
);
/** With as many answers, for a model that understands them. */
const countPrompts = Array.from(
  { length: streamCount },
  (_, index) => `Count from ${index} to ${index + 4}.`,
);

let tiny: TestServer;

beforeAll(async () => {
  tiny = await startSharedServer({
    modelPath: tinyModelFile({ contextLength }),
    flags: ['--parallel', String(streamCount), '--model-alias', 'acme/tiny:v1'],
  });
});

/** A greedy completion, put together from its stream. */
async function streamedText({ client }: TestServer, content: string): Promise<string> {
  const stream = await client.chat.completions.create({
    model: '',
    messages: user(content),
    temperature: 0,
    max_tokens: 48,
    stream: true,
  });
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
  return text;
}

/** The tokens of a greedy chat. */
async function chatSteps({ client }: TestServer, content: string): Promise<GreedyStep[]> {
  const reply = await client.chat.completions.create({
    model: '',
    messages: user(content),
    ...{ temperature: 0, max_tokens: 48, logprobs: true, top_logprobs: 2 },
  });
  const tokens = reply.choices[0]?.logprobs?.content ?? [];
  return tokens.map(({ token, top_logprobs }) => ({
    text: token,
    top: top_logprobs.map(({ logprob }) => logprob),
  }));
}

/** The tokens of a greedy text completion. */
async function textSteps({ client }: TestServer, prompt: string): Promise<GreedyStep[]> {
  const reply = await client.completions.create({
    ...{ model: '', prompt, max_tokens: 12, temperature: 0, logprobs: 2 },
  });
  const { tokens = [], top_logprobs = [] } = reply.choices[0]?.logprobs ?? {};
  return tokens.map((text, index) => ({
    text,
    top: Object.values(top_logprobs[index] ?? {}).sort((a, b) => b - a),
  }));
}

/** Every stream at once says what it says alone, and what the plain reply says. */
async function expectConcurrentStreamsToBeRight(
  server: TestServer,
  prompts: readonly string[],
): Promise<void> {
  const alone: string[] = [];
  for (const prompt of prompts) alone.push(await streamedText(server, prompt));
  expect(new Set(alone).size).toBeGreaterThan(streamCount / 2);

  const together = await Promise.all(prompts.map((prompt) => streamedText(server, prompt)));
  const stepsOf = (index: number) => chatSteps(server, prompts[index] as string);
  await expectSameGreedyTexts(together, alone, stepsOf);

  const plain = await server.client.chat.completions.create({
    model: '',
    messages: user(prompts[5] as string),
    temperature: 0,
    max_tokens: 48,
  });
  const plainText = plain.choices[0]?.message.content ?? '';
  await expectSameGreedyTexts([plainText], [alone[5] as string], () => stepsOf(5));
  expect(plain.usage?.completion_tokens).toBeLessThanOrEqual(48);
}

/** What the call is refused with. */
async function refusal(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
  } catch (error) {
    return error;
  }
  throw new Error('the call was not refused');
}

describe('a chat completion', () => {
  test('is one reply with its text, finish reason and usage', async () => {
    const reply = await tiny.client.chat.completions.create({
      model: 'acme/tiny:v1',
      messages: [{ role: 'system', content: 'Be brief.' }, ...user('Tell a story')],
      max_tokens: 12,
      temperature: 0,
      seed: 7,
    });
    expect(reply).toMatchObject({ object: 'chat.completion', model: 'acme/tiny:v1' });
    expect(reply.choices).toHaveLength(1);
    expect(reply.choices[0]).toMatchObject({
      finish_reason: 'length',
      message: { role: 'assistant', refusal: null },
    });
    expect(reply.choices[0]?.message.content).not.toBe('');
    expect(reply.usage).toMatchObject({ completion_tokens: 12 });
    const { prompt_tokens = 0, total_tokens } = reply.usage ?? {};
    expect(prompt_tokens).toBeGreaterThan(12);
    expect(total_tokens).toBe(prompt_tokens + 12);
  });

  test('streams the role, then text, the finish reason and at last the usage', async () => {
    const stream = await tiny.client.chat.completions.create({
      model: 'acme/tiny:v1',
      messages: user('Tell a story'),
      max_tokens: 12,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);

    expect(chunks[0]?.choices[0]?.delta).toMatchObject({ role: 'assistant', content: '' });
    expect(chunks.at(-2)?.choices[0]).toMatchObject({ delta: {}, finish_reason: 'length' });
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 12 } });
    const texts = chunks.slice(1, -2).map(({ choices }) => choices[0]?.delta.content);
    expect(texts.length).toBeGreaterThan(0);
    for (const text of texts) expect(text).toMatch(/./s);
    for (const { usage } of chunks.slice(0, -1)) expect(usage).toBeNull();
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  test('is put together by the client’s own stream helper', async () => {
    const body = { model: '', messages: user('Tell a story'), max_tokens: 48, temperature: 0 };
    const completion = await tiny.client.chat.completions.stream(body).finalChatCompletion();
    expect(completion.choices[0]?.finish_reason).toBe('length');
    expect(completion.choices[0]?.message.content).toBe(await streamedText(tiny, 'Tell a story'));
  });
});

describe('a text completion', () => {
  const greedy = { model: '', max_tokens: 12, temperature: 0 } as const;

  test('is the same for a prompt alone, among others, and as a stream', async () => {
    const prompts = ['Once upon a time', 'The quick brown fox', 'Please'];
    const alone: string[] = [];
    for (const prompt of prompts) {
      const reply = await tiny.client.completions.create({ ...greedy, prompt });
      expect(reply).toMatchObject({ object: 'text_completion', model: 'acme/tiny:v1' });
      expect(reply.usage?.completion_tokens).toBe(12);
      expect(reply.choices).toMatchObject([{ index: 0, logprobs: null, finish_reason: 'length' }]);
      alone.push(reply.choices[0]?.text ?? '');
    }
    expect(new Set(alone).size).toBe(prompts.length);
    const twice = alone.flatMap((text) => [text, text]);

    const together = await tiny.client.completions.create({ ...greedy, prompt: prompts, n: 2 });
    expect(together.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
    const stepsOf = (index: number) => textSteps(tiny, prompts[Math.floor(index / 2)] as string);
    await expectSameGreedyTexts(
      together.choices.map(({ text }) => text),
      twice,
      stepsOf,
    );
    expect(together.usage?.completion_tokens).toBe(6 * 12);

    const stream = await tiny.client.completions.create({
      ...greedy,
      prompt: prompts,
      n: 2,
      echo: true,
      stream: true,
      stream_options: { include_usage: true },
    });
    const texts: string[] = Array(6).fill('');
    const chunks: OpenAI.Completion[] = [];
    for await (const chunk of stream) {
      chunks.push(chunk);
      for (const { index, text } of chunk.choices) texts[index] += text;
    }
    const completions = texts.map((text, index) => {
      const prompt = prompts[Math.floor(index / 2)] as string;
      expect(text.startsWith(prompt)).toBe(true);
      return text.slice(prompt.length);
    });
    await expectSameGreedyTexts(completions, twice, stepsOf);
    // What the cache gave depends on which of the six began first, so it is not compared.
    const { completion_tokens, prompt_tokens, total_tokens } = together.usage ?? {};
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { completion_tokens, prompt_tokens, total_tokens },
    });
  });

  test('with a stop string ends before it', async () => {
    const prompt = 'Once upon a time';
    const whole = await tiny.client.completions.create({ ...greedy, prompt });
    const text = whole.choices[0]?.text ?? '';
    const stop = text.slice(4, 8);
    const cut = await tiny.client.completions.create({ ...greedy, prompt, stop });
    expect(cut.choices[0]).toMatchObject({
      text: text.slice(0, text.indexOf(stop)),
      finish_reason: 'stop',
    });
  });

  test('is refused with code and param', async () => {
    const bodies = [
      [{ suffix: 'z' }, 'unsupported_parameter', 'suffix'],
      [{ prompt: [[1], [1, 2, 1_000_000]] }, 'invalid_value', 'prompt[1][2]'],
      [{ prompt: ['a', ''] }, 'bad_request', 'prompt[1]'],
      [{ prompt: 'word '.repeat(contextLength) }, 'context_length_exceeded', 'prompt'],
    ] as const;
    for (const [fields, code, param] of bodies) {
      const body = { ...greedy, prompt: 'x', ...fields } as OpenAI.CompletionCreateParams;
      const error = await refusal(tiny.client.completions.create(body));
      expect(error).toBeInstanceOf(OpenAI.BadRequestError);
      expect(error).toMatchObject({ status: 400, code, param });
    }
  });
});

describe('16 concurrent streams', () => {
  const flags = ['--parallel', String(streamCount)];

  test('each give the text they give alone', () =>
    expectConcurrentStreamsToBeRight(tiny, storyPrompts));

  test('each give the text they give alone, on the bundled model', async () => {
    const server = await startServer({ flags });
    await expectConcurrentStreamsToBeRight(server, countPrompts);
  });

  test('each give the text they give alone, on TEST_MODEL', async ({ skip }) => {
    if (testModelPath === undefined) return skip('TEST_MODEL is not set');
    const server = await startServer({ modelPath: testModelPath, flags });
    await expectConcurrentStreamsToBeRight(server, storyPrompts);
  });
});

describe('the models', () => {
  test('are listed, and the one there is can be retrieved by its alias', async () => {
    const listed: OpenAI.Model[] = [];
    for await (const model of tiny.client.models.list()) listed.push(model);
    expect(listed).toMatchObject([{ id: 'acme/tiny:v1', object: 'model' }]);
    expect(await tiny.client.models.retrieve('acme/tiny:v1')).toEqual(listed[0]);
  });

  test('that are not there are a NotFoundError', async () => {
    const error = await refusal(tiny.client.models.retrieve('gpt-9'));
    expect(error).toBeInstanceOf(OpenAI.NotFoundError);
    expect(error).toMatchObject({ status: 404, code: 'model_not_found', param: 'model' });
  });
});

describe('log probabilities', () => {
  const sampled = { model: '', max_tokens: 12, temperature: 0 } as const;

  test('of a chat are the same whole and streamed, and their bytes are its text', async () => {
    const body = {
      ...sampled,
      messages: user('Tell a story'),
      logprobs: true,
      top_logprobs: 3,
    };
    const [whole] = (await tiny.client.chat.completions.create(body)).choices;
    const tokens = whole?.logprobs?.content ?? [];
    expect(tokens.length).toBeGreaterThan(0);
    const bytes = tokens.flatMap((token) => token.bytes ?? []);
    expect(Buffer.from(bytes).toString()).toBe(whole?.message.content);
    for (const { token, logprob, top_logprobs: top } of tokens) {
      // Greedy: the first of the likeliest is what was chosen.
      expect(top).toHaveLength(3);
      expect(top[0]).toMatchObject({ token, logprob });
    }

    const stream = await tiny.client.chat.completions.create({ ...body, stream: true });
    const streamed: typeof tokens = [];
    for await (const chunk of stream) {
      streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []));
    }
    expect(streamed.map(({ token }) => token)).toEqual(tokens.map(({ token }) => token));
    for (const [index, { logprob }] of streamed.entries()) {
      expect(logprob).toBeCloseTo(tokens[index]?.logprob ?? Number.NaN, 2);
    }
  });

  test('score an echoed prompt, with and without a completion', async () => {
    const prompt = 'Once upon a time there was a dragon';
    const body = { ...sampled, prompt, echo: true, logprobs: 2 };
    const [scored] = (await tiny.client.completions.create({ ...body, max_tokens: 0 })).choices;
    const [continued] = (await tiny.client.completions.create(body)).choices;
    expect(scored).toMatchObject({ text: prompt, finish_reason: 'length' });
    const { tokens = [], token_logprobs: logprobs = [] } = scored?.logprobs ?? {};
    expect(tokens.join('')).toBe(prompt);
    expect(logprobs[0]).toBeNull();
    const { text_offset: offsets = [] } = continued?.logprobs ?? {};
    for (const [index, token] of (continued?.logprobs?.tokens ?? []).entries()) {
      if (token.startsWith('bytes:')) continue;
      expect(continued?.text.startsWith(token, offsets[index]), token).toBe(true);
    }
    for (const [index, logprob] of logprobs.entries()) {
      if (index === 0) continue;
      expect(continued?.logprobs?.token_logprobs?.[index]).toBeCloseTo(logprob, 2);
    }
  });

  test('choose the best of several', async () => {
    const body = { model: '', prompt: 'The', max_tokens: 8, temperature: 1.5, seed: 3 };
    const mean = ({ logprobs }: OpenAI.CompletionChoice) => {
      const values = logprobs?.token_logprobs ?? [];
      return values.reduce((sum, value) => sum + value, 0) / values.length;
    };
    const all = await tiny.client.completions.create({ ...body, n: 4, logprobs: 0 });
    const best = await tiny.client.completions.create({ ...body, n: 2, best_of: 4, logprobs: 0 });
    const texts = [...all.choices].sort((a, b) => mean(b) - mean(a)).map(({ text }) => text);
    expect(best.choices.map(({ text }) => text)).toEqual(texts.slice(0, 2));
    expect(best.usage?.completion_tokens).toBe(all.usage?.completion_tokens);
  });
});

describe('a request that is refused', () => {
  test.each([
    ['a value out of range', { temperature: 101 }, 'invalid_value', 'temperature'],
    ['what is not supported', { lora: [{ id: 0 }] }, 'unsupported_parameter', 'lora'],
    ['no messages', { messages: [] }, 'invalid_value', 'messages'],
  ])('for %s is a BadRequestError with code and param', async (_what, fields, code, param) => {
    for (const stream of [false, true]) {
      const body = { model: '', messages: user('hello'), stream, ...fields };
      const error = await refusal(tiny.client.chat.completions.create(body));
      expect(error).toBeInstanceOf(OpenAI.BadRequestError);
      expect(error).toMatchObject({ status: 400, code, param, type: 'invalid_request_error' });
    }
  });

  test('for a prompt beyond the context names both numbers', async () => {
    const messages = user('word '.repeat(contextLength));
    const error = await refusal(tiny.client.chat.completions.create({ model: '', messages }));
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(String(error)).toMatch(
      /maximum context length is 16384 tokens.*resulted in \d{5,} tokens/,
    );
  });

  test('for JSON that is none is a 400 in the same form', async () => {
    const reply = await fetch(`${tiny.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"messages": [',
    });
    expect(reply.status).toBe(400);
    expect(await reply.json()).toMatchObject({
      error: { code: 'invalid_json', param: null, type: 'invalid_request_error' },
    });
  });
});

test('a stream that the client aborts frees its slot long before the text would have ended', async () => {
  const maxTokens = contextLength - 100;
  const body = {
    model: '',
    messages: user('endless'),
    max_tokens: maxTokens,
    stream: true as const,
    ignore_eos: true,
  };
  const stream = await tiny.client.chat.completions.create(body, {
    headers: { 'x-request-id': 'aborted-by-client' },
  });
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
  stream.controller.abort();
  await tiny.untilQueue({ active: 0, waiting: 0 });
  const end = await tiny.line('request completed', { requestId: 'aborted-by-client' });
  expect(end).toMatchObject({ finishReason: 'cancelled' });
  expect(end.completionTokenCount).toBeLessThan(maxTokens);
});
