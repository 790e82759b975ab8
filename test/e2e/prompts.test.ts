import { basename } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Tokens } from '../../src/api/chat/tokenize-shapes.ts';
import type { Props, Slots } from '../../src/api/info/props-shapes.ts';
import { settingGroups, settingOf } from '../../src/config/table.ts';
import { chatmlTemplate } from '../../tools/fixtures/tiny-model.ts';
import { type BytePairVocabulary, tinyVocabulary } from '../../tools/fixtures/tiny-vocabulary.ts';
import { startSharedServer, type TestServer, tinyModelFile } from '../support/start-server.ts';

const infillMarks = ['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>'] as const;

/** llama.cpp finds the marks of a gap by their texts. */
function infillVocabulary(): BytePairVocabulary {
  const plain = tinyVocabulary();
  const firstId = plain.tokens.length;
  return {
    ...plain,
    tokens: [...plain.tokens, ...infillMarks],
    controlTokenIds: new Set([
      ...plain.controlTokenIds,
      ...infillMarks.map((_, index) => firstId + index),
    ]),
  };
}

let modelPath: string;
let server: TestServer;

beforeAll(async () => {
  modelPath = tinyModelFile({ vocabulary: infillVocabulary() });
  server = await startSharedServer({ modelPath, flags: ['--parallel', '2', '--ctx', '512'] });
});

async function post<Reply>(path: string, body: object): Promise<Reply> {
  const reply = await fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(reply.status).toBe(200);
  return (await reply.json()) as Reply;
}

const tokenize = (content: string, fields: object = {}) =>
  post<Tokens>('/tokenize', { content, ...fields });

interface Reply {
  readonly choices: readonly [{ readonly text: string }];
  readonly usage: { readonly prompt_tokens: number };
}

const complete = (fields: object) =>
  post<Reply>('/v1/completions', { max_tokens: 12, temperature: 0, ...fields });

describe('text and tokens', () => {
  test.each(['Hello world', ' two  spaces ', 'é 日本 🙂'])('%j comes back', async (text) => {
    const { tokens } = await tokenize(text);
    expect(await post('/detokenize', { tokens })).toEqual({ content: text, prompt: text });
  });

  test('have pieces that are the text, bytes where they must be', async () => {
    const text = 'Hello 日';
    const { tokens } = await tokenize(text);
    const pieces = (await tokenize(text, { with_pieces: true })).tokens as {
      id: number;
      piece: string | number[];
    }[];
    expect(pieces.map(({ id }) => id)).toEqual(tokens);
    expect(pieces.some(({ piece }) => Array.isArray(piece))).toBe(true);
    const bytes = pieces.map(({ piece }) => Buffer.from(piece as string));
    expect(Buffer.concat(bytes).toString()).toBe(text);
  });

  test('complete alike, whichever the prompt is made of', async () => {
    const text = 'Once upon a time';
    const { tokens } = await tokenize(text);
    const [whole, asTokens] = [
      await complete({ prompt: text }),
      await complete({ prompt: tokens }),
    ];
    expect(asTokens.choices).toEqual(whole.choices);
    expect(asTokens.usage.prompt_tokens).toBe(tokens.length);

    const { tokens: end } = await tokenize(' a time');
    const mixed = await complete({ prompt: ['Once upon', ...end], echo: true });
    expect(mixed.choices[0].text).toBe(`${text}${whole.choices[0].text}`);
  });
});

describe('a gap', () => {
  test('is filled between the marks of the vocabulary', async () => {
    const [pre, suf, mid] = infillMarks;
    const filled = await complete({ prompt: 'Once', suffix: ' a time' });
    const spelled = await complete({ prompt: `${pre}Once${suf} a time${mid}` });
    expect(filled.choices).toEqual(spelled.choices);
    expect(filled.usage.prompt_tokens).toBe(spelled.usage.prompt_tokens);
    const plain = await complete({ prompt: 'Once', suffix: '' });
    expect(plain.choices).not.toEqual(filled.choices);
  });
});

describe('a chat', () => {
  const messages = [{ role: 'user', content: 'Tell a story' }];

  test('is counted as it is completed, and rendered as it is counted', async () => {
    const body = { messages, max_tokens: 1 };
    const { prompt } = await post<{ prompt: string }>('/apply-template', body);
    expect(prompt).toBe('<|im_start|>user\nTell a story<|im_end|>\n<|im_start|>assistant\n');
    const { tokens } = await tokenize(prompt, { add_special: true });
    const counted = await post('/v1/chat/completions/input_tokens', body);
    expect(counted).toEqual({ object: 'response.input_tokens', input_tokens: tokens.length });
    const { usage } = await post<Reply>('/v1/chat/completions', body);
    expect(usage.prompt_tokens).toBe(tokens.length);
  });
});

describe('the server', () => {
  test.each(settingGroups.Sampling?.filter((name) => name !== 'SEED') ?? [])(
    'samples by default as %s says',
    async (name) => {
      const { default_generation_settings: defaults } = (await (
        await fetch(`${server.url}/props`)
      ).json()) as Props;
      const params = defaults.params as Readonly<Record<string, unknown>>;
      const documented = Number.parseFloat(settingOf(name).fallbackText ?? '');
      expect(params[name.toLowerCase()]).toBeCloseTo(documented, 5);
    },
  );

  test('tells what it serves', async () => {
    const props = (await (await fetch(`${server.url}/props`)).json()) as Props;
    expect(props).toMatchObject({
      default_generation_settings: { n_ctx: 512 },
      total_slots: 2,
      model_path: basename(modelPath),
      model_ftype: 'F32',
      chat_template: chatmlTemplate,
      bos_token: '<|endoftext|>',
      eos_token: '<|endoftext|>',
    });
    const slots = (await (await fetch(`${server.url}/slots`)).json()) as Slots;
    expect(slots.map(({ id, is_processing }) => [id, is_processing])).toEqual([
      [0, false],
      [1, false],
    ]);
    const models = await (await fetch(`${server.url}/v1/models`)).json();
    expect(models).toMatchObject({
      data: [{ quantization: 'F32', capabilities: { infill: true, tools: true } }],
    });
  });
});
