/** Values that every other server answers, on the bundled model: ceilings, neutral values, switches and older forms. */
import { beforeAll, describe, expect, test } from 'vitest';
import { parseSse } from '../support/read-sse.ts';
import { startSharedServer, type TestServer } from '../support/start-server.ts';

type Json = Record<string, unknown>;

interface CallDelta {
  readonly name?: string;
  readonly arguments: string;
}

interface Reply {
  readonly status: number;
  readonly error?: { readonly message: string; readonly code: string };
  readonly choices: readonly {
    readonly message: {
      readonly content: string | null;
      readonly reasoning_content?: string;
      readonly reasoning?: string;
      readonly function_call?: { readonly name: string; readonly arguments: string };
    };
    readonly text?: string;
    readonly finish_reason: string;
  }[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
}

const contextLength = 512;
const question = [{ role: 'user', content: 'What is 3 plus 4?' }];

describe('the bundled model answers', () => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startSharedServer({
      flags: ['--ctx', String(contextLength), '--parallel', '2'],
    });
  });

  async function post(path: string, body: Json): Promise<Reply> {
    const reply = await fetch(`${server.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: reply.status, ...((await reply.json()) as Omit<Reply, 'status'>) };
  }

  async function chat(fields: Json): Promise<Reply> {
    const reply = await post('/v1/chat/completions', {
      messages: question,
      max_tokens: 40,
      temperature: 0,
      ...fields,
    });
    expect(reply.status, JSON.stringify(reply.error)).toBe(200);
    return reply;
  }

  test.each([32_000, 1e30])('a ceiling of %d until the context is full', async (maxTokens) => {
    const { choices, usage } = await chat({ max_tokens: maxTokens, ignore_eos: true });
    expect(choices[0]?.finish_reason).toBe('length');
    expect(usage.prompt_tokens + usage.completion_tokens).toBe(contextLength);
  });

  test.each([{}, { tools: [{ type: 'function', function: { name: 'f' } }] }])(
    'a ceiling of 0 with the prompt alone, beside %j',
    async (fields) => {
      const { choices, usage } = await chat({ max_tokens: 0, ...fields });
      expect(choices[0]).toMatchObject({ message: { content: '' }, finish_reason: 'length' });
      expect(usage.completion_tokens).toBe(0);
      const text = await post('/v1/completions', { prompt: 'Once', n_predict: 0 });
      expect(text.choices[0]).toMatchObject({ text: '', finish_reason: 'length' });
    },
  );

  test('a prompt that is too long with the sentence that agents know', async () => {
    const messages = [{ role: 'user', content: 'word '.repeat(contextLength) }];
    const { status, error } = await post('/v1/chat/completions', { messages });
    expect(status).toBe(400);
    expect(error?.code).toBe('context_length_exceeded');
    expect(error?.message).toMatch(
      /^This model's maximum context length is 512 tokens\. However, your messages resulted in \d+ tokens\./,
    );
  });

  test('neutral values like their absence', async () => {
    const plain = await chat({ seed: 1 });
    for (const fields of [
      { stop: '' },
      { stop: [''], stop_sequences: [] },
      { repeat_last_n: -1, repeat_penalty: 1 },
      { dry_penalty_last_n: -1 },
      { n_predict: -1 },
      { logit_bias: [] },
      { reasoning_format: 'auto' },
      { prediction: { type: 'content', content: 'x' }, verbosity: 'low' },
      { service_tier: 'standard_only' },
      { stream_options: { include_usage: true } },
      { options: { temperature: 0, num_ctx: 8192, tfs_z: 1 } },
      { stop: Array.from({ length: 17 }, (_, index) => `never ${index}`) },
    ]) {
      const { choices } = await chat({ seed: 1, ...fields });
      expect(choices[0]?.message.content, JSON.stringify(fields)).toBe(
        plain.choices[0]?.message.content,
      );
    }
  });

  test('`top_p: 0` with the likeliest tokens, whatever the temperature', async () => {
    const greedy = await chat({});
    const narrow = await chat({ temperature: 50, top_p: 0 });
    expect(narrow.choices[0]?.message.content).toBe(greedy.choices[0]?.message.content);
  });

  test('every switch of reasoning', async () => {
    const on = await chat({ enable_thinking: true, max_tokens: 200 });
    const { reasoning_content: thought = '' } = on.choices[0]?.message ?? {};
    expect(thought).not.toBe('');
    const off: Json[] = [
      { enable_thinking: false },
      { think: false },
      { thinking: { type: 'disabled' } },
      { reasoning: { effort: 'none' } },
      { reasoning: { enabled: false } },
      { reasoning_effort: 'none' },
      { chat_template_kwargs: { enable_thinking: false } },
    ];
    for (const fields of off) {
      const { message } = (await chat(fields)).choices[0] ?? {};
      expect(message?.reasoning_content, JSON.stringify(fields)).toBeUndefined();
      expect(message?.content, JSON.stringify(fields)).not.toBe('');
    }
    for (const fields of [{ think: true }, { reasoning: { enabled: true } }, { thinking: true }]) {
      const { message } = (await chat({ max_tokens: 200, ...fields })).choices[0] ?? {};
      expect(message?.reasoning_content, JSON.stringify(fields)).toBe(thought);
    }
    const raw = await chat({ think: true, reasoning_format: 'none', max_tokens: 200 });
    expect(raw.choices[0]?.message.content).toBe(
      `<think>\n${thought}\n</think>\n\n${on.choices[0]?.message.content}`,
    );
    const both = await chat({ reasoning: { enabled: true }, max_tokens: 200 });
    expect(both.choices[0]?.message.reasoning).toBe(thought);
  });

  test('`functions` in their own form, streamed and not', async () => {
    const functions = [
      {
        name: 'add',
        parameters: { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] },
      },
    ];
    const fields = { functions, function_call: { name: 'add' }, max_tokens: 100 };
    const { choices } = await chat(fields);
    const called = choices[0]?.message.function_call;
    expect(choices[0]?.finish_reason).toBe('function_call');
    expect(called?.name).toBe('add');
    expect(JSON.parse(called?.arguments ?? '')).toEqual({ a: expect.any(Number) });

    const body = JSON.stringify({ messages: question, temperature: 0, stream: true, ...fields });
    const reply = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    const deltas = parseSse(await reply.text()).flatMap((each) => {
      if (each === 'done') return [];
      const [choice] = (each.json as { choices: { delta: { function_call?: CallDelta } }[] })
        .choices;
      return choice?.delta.function_call ?? [];
    });
    expect(deltas[0]).toMatchObject({ name: 'add' });
    expect(deltas.map((delta) => delta.arguments).join('')).toBe(called?.arguments);
  });

  test('an embedding input of ids and texts', async () => {
    const mixed = await post('/v1/embeddings', { input: [[5, ' two words', 7], 'text'] });
    expect(mixed.status, JSON.stringify(mixed.error)).toBe(200);
  });
});
