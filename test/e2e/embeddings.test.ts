import { join } from 'node:path';
import OpenAI from 'openai';
import { beforeAll, describe, expect, test } from 'vitest';
import { writeGguf } from '../../tools/fixtures/gguf-writer.ts';
import { type BertShape, tinyBertSpec } from '../../tools/fixtures/tiny-bert.ts';
import {
  startServer,
  startSharedServer,
  type TestServer,
  temporaryFolder,
} from '../support/start-server.ts';

const texts = ['the quick brown fox', 'once more', 'the river and the castle'];

function bertFile(name: string, shape: Partial<BertShape> = {}): string {
  const path = join(temporaryFolder(), `${name}.gguf`);
  writeGguf(path, tinyBertSpec(shape));
  return path;
}

function cosine(one: readonly number[], other: readonly number[]): number {
  return one.reduce((sum, value, index) => sum + value * (other[index] ?? 0), 0);
}

async function vectorsOf(
  { client }: TestServer,
  input: OpenAI.EmbeddingCreateParams['input'],
  fields: Partial<OpenAI.EmbeddingCreateParams> = {},
): Promise<number[][]> {
  const { data } = await client.embeddings.create({ model: 'any', input, ...fields });
  return data.map(({ embedding }) => embedding);
}

describe('the official client and the bundled chat model', () => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startSharedServer({});
  });

  test('embeds in base64, as the client asks by itself, and as numbers: the same', async () => {
    const byDefault = await vectorsOf(server, texts);
    const asNumbers = await vectorsOf(server, texts, { encoding_format: 'float' });
    expect(byDefault).toEqual(asNumbers);
    for (const vector of byDefault) expect(cosine(vector, vector)).toBeCloseTo(1, 4);
    const [alone] = await vectorsOf(server, texts[0] as string);
    expect(cosine(alone as number[], byDefault[0] as number[])).toBeCloseTo(1, 4);
  });

  test('embeds while it streams a chat, which says what it says alone', async () => {
    const chat = async () => {
      const stream = await server.client.chat.completions.create({
        model: 'any',
        messages: [{ role: 'user', content: 'Who are you?' }],
        temperature: 0,
        stream: true,
      });
      let text = '';
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
      return text;
    };
    const alone = await chat();
    const expected = await vectorsOf(server, texts);
    const [together, ...found] = await Promise.all([
      chat(),
      ...Array.from({ length: 5 }, () => vectorsOf(server, texts)),
    ]);
    expect(together).toBe(alone);
    for (const vectors of found) {
      for (const [index, vector] of vectors.entries()) {
        expect(cosine(vector, expected[index] as number[])).toBeCloseTo(1, 4);
      }
    }
  });

  test('gets dimensions, and errors as errors', async () => {
    const { data } = await server.client.models.list();
    const { embedding_length: width } = data[0] as unknown as { embedding_length: number };
    const [vector] = await vectorsOf(server, 'fox', { dimensions: 16 });
    expect(vector).toHaveLength(16);
    await expect(vectorsOf(server, 'fox', { dimensions: width + 1 })).rejects.toMatchObject({
      status: 400,
      param: 'dimensions',
    });
    await expect(vectorsOf(server, [1, 10_000_000])).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    expect(await vectorsOf(server, 'fox')).toHaveLength(1);
  });
});

test('an embedding model is served, counts tokens, and does not chat', async () => {
  const server = await startServer({ modelPath: bertFile('tiny-bert') });
  const { client } = server;
  const reply = await client.embeddings.create({ model: 'any', input: texts.slice(0, 2) });
  expect(reply.usage).toEqual({ prompt_tokens: 10, total_tokens: 10 });
  expect(reply.model).toBe('tiny-bert');
  expect((await client.models.list()).data[0]).toMatchObject({
    context_length: 128,
    embedding_length: 64,
    capabilities: { chat: false, completion: false, embeddings: true, rerank: false },
  });
  await expect(vectorsOf(server, 'fox '.repeat(127))).rejects.toMatchObject({
    status: 400,
    code: 'context_length_exceeded',
  });
  expect((await server.chat({})).status).toBe(400);
});

test('a model with a classification head ranks', async () => {
  const server = await startServer({
    modelPath: bertFile('tiny-rank', { poolingType: 4, head: true }),
  });
  const reply = await fetch(`${server.url}/v1/rerank`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: 'the river', documents: texts, return_documents: true }),
  });
  expect(reply.status).toBe(200);
  const { results } = (await reply.json()) as {
    results: { index: number; relevance_score: number; document: { text: string } }[];
  };
  expect(results.map(({ index }) => index).sort()).toEqual([0, 1, 2]);
  const scores = results.map((result) => result.relevance_score);
  expect(scores).toEqual(scores.toSorted((one, other) => other - one));
  for (const { index, document } of results) expect(document.text).toBe(texts[index]);
});

test('more context than an embedding model has positions stops the start', async () => {
  const server = await startServer({
    modelPath: bertFile('tiny-long'),
    flags: ['--ctx', '129'],
  }).catch((error: unknown) => error);
  expect(String(server)).toContain('128 positions');
});
