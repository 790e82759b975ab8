/**
 * Vectors and scores of real models. One input alone and in a batch may differ by what rounding depends
 * on: how many tokens one matrix product has. Values of unit vectors stay within `tolerance` of each other:
 * with each of ggml's x86-64 kernels the largest difference seen was between 1e-6 and 4e-5.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmbeddingInput, InputError, type PreparedInputs } from '../../src/engine/embedder.ts';
import type { Engine, GeneratingEngine } from '../../src/engine/engine.ts';
import { uint32 } from '../../tools/fixtures/gguf-writer.ts';
import {
  complete,
  type LoadedModel,
  loadModel,
  startEmbeddingEngine,
  startEngine,
  until,
} from '../../tools/fixtures/start-engine.ts';
import { tinyBertSpec } from '../../tools/fixtures/tiny-bert.ts';

const tolerance = 1e-4;

const texts = [
  'the quick brown fox',
  'once more',
  'the river the castle the garden',
  'fox',
  'a long text about the river and the castle and the garden and the fox once more',
];

async function embed(
  engine: Engine,
  inputs: readonly EmbeddingInput[],
  dimensions?: number,
  signal?: AbortSignal,
): Promise<readonly Float32Array[]> {
  return engine.embedder.embed(await engine.embedder.prepareInputs(inputs), dimensions, signal);
}

function distance(one: Float32Array | undefined, other: Float32Array | undefined): number {
  if (one === undefined || other === undefined || one.length !== other.length) return Infinity;
  return Math.max(...one.map((value, index) => Math.abs(value - (other[index] ?? Infinity))));
}

function norm(vector: Float32Array): number {
  return Math.hypot(...vector);
}

/** Every text alone gives what it gives beside the others. */
async function expectBatchToBeRight(engine: Engine, inputs: readonly string[]): Promise<void> {
  const together = await embed(engine, inputs);
  expect(together).toHaveLength(inputs.length);
  for (const [index, text] of inputs.entries()) {
    const [alone] = await embed(engine, [text]);
    expect(norm(alone as Float32Array)).toBeCloseTo(1, 5);
    expect(distance(alone, together[index])).toBeLessThan(tolerance);
  }
  expect(distance(together[0], together[1])).toBeGreaterThan(0.01);
}

describe('a model of BERT’s shape', () => {
  let loaded: LoadedModel;
  let engine: Engine;

  beforeAll(async () => {
    loaded = await loadModel(tinyBertSpec());
    engine = await startEmbeddingEngine(loaded.model);
  });

  afterAll(async () => {
    await engine.close();
    await loaded.dispose();
  });

  test('says what it can', () => {
    expect(engine.info).toMatchObject({
      contextLength: 128,
      embedding: { pooling: 'mean', width: 64, contextLength: 128 },
    });
  });

  test('gives a text the vector it gets alone, whoever is beside it', async () => {
    await expectBatchToBeRight(engine, texts);
  });

  test('gives tokens the vector of their text', async () => {
    const [text = ''] = texts;
    const tokens = await engine.tokenizer.tokenize(text, { addSpecial: true, parseSpecial: true });
    const inputs = await engine.embedder.prepareInputs([text, tokens]);
    expect([...inputs.tokenCounts]).toEqual([6, 6]);
    const [one, other] = await engine.embedder.embed(inputs);
    expect(distance(one, other)).toBeLessThan(tolerance);
  });

  test('keeps the first dimensions, scaled to norm 1', async () => {
    const [whole] = await embed(engine, ['fox']);
    const [part] = await embed(engine, ['fox'], 7);
    const first = (whole as Float32Array).subarray(0, 7);
    expect(part).toHaveLength(7);
    expect(norm(part as Float32Array)).toBeCloseTo(1, 5);
    expect(
      distance(
        part,
        first.map((value) => value / norm(first)),
      ),
    ).toBeLessThan(tolerance);
  });

  test('cuts a long text where asked to, and keeps the token that closes it', async () => {
    const long = 'the river '.repeat(200);
    const inputs = await engine.embedder.prepareInputs([long, 'fox'], 10);
    expect([...inputs.tokenCounts]).toEqual([10, 3]);
    const tokens = await engine.tokenizer.tokenize(long, { addSpecial: true, parseSpecial: true });
    const kept = [...tokens.slice(0, 9), tokens.at(-1) as number];
    const [cut] = await engine.embedder.embed(inputs);
    const [expected] = await embed(engine, [kept]);
    expect(distance(cut, expected)).toBeLessThan(tolerance);
  });

  test('takes an input as long as its context, and refuses a longer one natively too', async () => {
    const long = 'fox '.repeat(126);
    const inputs = await engine.embedder.prepareInputs([long, `${long}fox`]);
    expect([...inputs.tokenCounts]).toEqual([128, 129]);
    const [vector] = await embed(engine, [long]);
    expect(norm(vector as Float32Array)).toBeCloseTo(1, 5);
    await expect(engine.embedder.embed(inputs)).rejects.toMatchObject({ code: 'bad_request' });
  });

  test('computes 2048 inputs of one request, each in its place', async () => {
    const many = Array.from({ length: 2048 }, (_, index) => texts[index % texts.length] as string);
    const expected = await embed(engine, texts);
    const vectors = await embed(engine, many);
    expect(vectors).toHaveLength(2048);
    for (const [index, vector] of vectors.entries()) {
      expect(distance(vector, expected[index % texts.length])).toBeLessThan(tolerance);
    }
  });

  test('computes many requests at the same time', async () => {
    const expected = await embed(engine, texts);
    const found = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        embed(engine, [texts[index % texts.length] as string]),
      ),
    );
    for (const [index, [vector]] of found.entries()) {
      expect(distance(vector, expected[index % texts.length])).toBeLessThan(tolerance);
    }
  });

  test.each([
    [[[1, -1]], 0],
    [['fox', [5], [10_000_000]], 2],
    [['fox', []], 1],
  ])('refuses %j, and says which', async (inputs, index) => {
    const failure = await engine.embedder.prepareInputs(inputs).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(InputError);
    expect(failure).toMatchObject({ index });
    expect(await embed(engine, ['fox'])).toHaveLength(1);
  });

  test('refuses what another engine prepared', async () => {
    const stranger = { tokenCounts: Int32Array.of(1), handle: {} };
    await expect(engine.embedder.embed(stranger)).rejects.toThrow(/not inputs/);
  });

  test('ends an aborted request with the signal’s reason, and the others as they should', async () => {
    const controller = new AbortController();
    const inputs = await engine.embedder.prepareInputs(Array(2048).fill(texts[4]));
    const aborted = engine.embedder.embed(inputs, undefined, controller.signal);
    const other = embed(engine, ['fox']);
    controller.abort(new Error('gone'));
    await expect(aborted).rejects.toThrow('gone');
    expect(await other).toHaveLength(1);
    await expect(engine.embedder.embed(inputs, 8, controller.signal)).rejects.toThrow('gone');
    await until(() => engine.stats().runningCount === 0, 'nothing is left');
  });

  test('neither chats nor completes', () => {
    expect(engine.generator).toBeUndefined();
  });

  test('does not start with more positions than it has', async () => {
    await expect(startEmbeddingEngine(loaded.model, { contextLength: 129 })).rejects.toThrow(
      /more than the 128 positions/,
    );
  });

  test('does not start where inputs would be computed in pieces', async () => {
    await expect(startEmbeddingEngine(loaded.model, { wholeInputs: false })).rejects.toThrow(
      /in pieces/,
    );
  });
});

test('poolings differ, and each of them is the same for all', async () => {
  const { model, dispose } = await loadModel(tinyBertSpec());
  const found: Float32Array[] = [];
  for (const pooling of ['mean', 'cls', 'last'] as const) {
    const engine = await startEmbeddingEngine(model, { pooling });
    await expectBatchToBeRight(engine, texts.slice(0, 3));
    const [vector] = await embed(engine, ['the river']);
    for (const other of found) expect(distance(vector, other)).toBeGreaterThan(0.01);
    found.push(vector as Float32Array);
    await engine.close();
  }
  await dispose();
});

test('a vocabulary without a token between texts is refused, not asserted', async () => {
  const { model, dispose } = await loadModel(tinyBertSpec({ separator: false }));
  const engine = await startEmbeddingEngine(model);
  await expect(engine.embedder.prepareInputs(['fox'])).rejects.toThrow(/no tokens to put around/);
  expect(await embed(engine, [[2, 5, 6]])).toHaveLength(1);
  await engine.close();
  await dispose();
});

describe('a model with a classification head', () => {
  const query = 'the river';
  const documents = ['the river the castle', 'fox', 'once more the river', 'garden'];
  let loaded: LoadedModel;
  let engine: Engine;

  beforeAll(async () => {
    loaded = await loadModel(tinyBertSpec({ poolingType: 4, head: true }));
    engine = await startEmbeddingEngine(loaded.model, { pooling: 'rank' });
  });

  afterAll(async () => {
    await engine.close();
    await loaded.dispose();
  });

  test('joins query and document with its separator', async () => {
    const { tokenCounts } = await engine.embedder.prepareRanking(query, documents);
    // [CLS] the river [SEP] and the words of the document.
    expect([...tokenCounts]).toEqual([8, 5, 8, 5]);
  });

  test('scores a document as it does alone, from 0 to 1', async () => {
    const scores = await engine.embedder.rank(
      await engine.embedder.prepareRanking(query, documents),
    );
    expect(new Set(scores).size).toBe(documents.length);
    for (const [index, document] of documents.entries()) {
      const [alone] = await engine.embedder.rank(
        await engine.embedder.prepareRanking(query, [document]),
      );
      expect(alone).toBeGreaterThan(0);
      expect(alone).toBeLessThan(1);
      // A score hangs on all values of a vector.
      expect(Math.abs((alone ?? 2) - (scores[index] ?? 0))).toBeLessThan(10 * tolerance);
    }
  });

  test('takes control tokens in the texts for text', async () => {
    const plain = await engine.embedder.prepareRanking('fox', ['fox', 'fox']);
    expect([...plain.tokenCounts]).toEqual([4, 4]);
    // A bracket, three letters and a bracket each, instead of one token.
    const { tokenCounts } = await engine.embedder.prepareRanking('[SEP]', ['fox', '[CLS]']);
    expect([...tokenCounts]).toEqual([8, 12]);
  });
});

test('a template of the file joins query and document, each once', async () => {
  const template = 'query {query} the {document} more';
  const { model, dispose } = await loadModel(
    tinyBertSpec({
      poolingType: 4,
      head: true,
      metadata: [['tokenizer.chat_template.rerank', template]],
    }),
  );
  const engine = await startEmbeddingEngine(model, { pooling: 'rank' });
  const { tokenCounts } = await engine.embedder.prepareRanking('fox', ['the river', 'castle']);
  expect([...tokenCounts]).toEqual([6, 5]);
  // A mark of the template in a text is text: two braces and eight letters.
  const [count] = (await engine.embedder.prepareRanking('{document}', ['fox'])).tokenCounts;
  expect(count).toBe(14);
  await engine.close();
  await dispose();
});

describe('a model that chats', () => {
  let loaded: LoadedModel;
  let engine: GeneratingEngine;

  beforeAll(async () => {
    loaded = await loadModel();
    engine = await startEngine(loaded.model);
  });

  afterAll(async () => {
    await engine.close();
    await loaded.dispose();
  });

  test('embeds too, by the mean unless told otherwise', async () => {
    expect(engine.generator).toBeDefined();
    expect(engine.info).toMatchObject({
      embedding: { pooling: 'mean', width: 64, contextLength: 512 },
    });
    await expectBatchToBeRight(engine, texts);
  });

  test('does both at the same time, and each as it does alone', async () => {
    const reply = await complete(engine, 'tell a story', { maxTokens: 200 });
    const vectors = await embed(engine, texts);
    const streaming = complete(engine, 'tell a story', { maxTokens: 200 });
    const found: (readonly Float32Array[])[] = [];
    for (let round = 0; round < 5; round += 1) found.push(await embed(engine, texts));
    expect((await streaming).text).toBe(reply.text);
    for (const each of found) {
      for (const [index, vector] of each.entries()) {
        expect(distance(vector, vectors[index])).toBeLessThan(tolerance);
      }
    }
  });

  test.each(['mean', 'last', 'cls'] as const)(
    'computes a text in pieces to the same %s as at once',
    async (pooling) => {
      const long = 'the quick brown fox jumps over the lazy dog '.repeat(20);
      const embedding = { pooling, contextLength: 512, wholeInputs: false };
      const vectors: Float32Array[] = [];
      for (const ubatchSize of [512, 32]) {
        const other = await startEngine(loaded.model, { ubatchSize, embedding });
        const inputs = await other.embedder.prepareInputs(['fox', long, 'dog']);
        expect(inputs.tokenCounts[1]).toBeGreaterThan(100);
        expect(inputs.tokenCounts[1]).toBeLessThan(512);
        const [, vector] = await other.embedder.embed(inputs);
        vectors.push(vector as Float32Array);
        await other.close();
      }
      expect(distance(vectors[0], vectors[1])).toBeLessThan(tolerance);
    },
  );

  test('says what it lacks where memory does, and works once there is some', async () => {
    let free = false;
    const checkMemory = async () => {
      if (!free) throw new Error('none is left');
    };
    const embedding = {
      pooling: 'mean',
      contextLength: 64,
      wholeInputs: false,
      checkMemory,
    } as const;
    const other = await startEngine(loaded.model, { embedding });
    await expect(other.embedder.prepareInputs(['fox'])).rejects.toMatchObject({
      code: 'embeddings_unavailable',
    });
    expect((await complete(other, 'still there', { maxTokens: 5 })).text).not.toBe('');
    free = true;
    expect(await embed(other, ['fox'])).toHaveLength(1);
    await other.close();
  });

  test('closes while it embeds, and refuses what comes later', async () => {
    const other = await startEngine(loaded.model);
    const inputs = await other.embedder.prepareInputs(Array(2048).fill(texts[4]));
    const running = other.embedder.embed(inputs);
    const ended = expect(running).rejects.toMatchObject({ code: 'shutting_down' });
    await new Promise(setImmediate);
    await Promise.all([other.close(), other.close()]);
    await ended;
    await expect(other.embedder.embed(inputs)).rejects.toMatchObject({ code: 'shutting_down' });
    await expect(other.embedder.prepareInputs(['x'])).rejects.toMatchObject({
      code: 'shutting_down',
    });
  });
});

test.each(['mamba', 'lfm2', 'olmo2'] as const)(
  'a model of %s’s shape embeds as well alone as in a batch',
  async (architecture) => {
    const { model, dispose } = await loadModel({ architecture });
    const engine = await startEngine(model);
    await expectBatchToBeRight(engine, texts);
    await engine.close();
    await dispose();
  },
);

test('a decoder whose tokens see those after them computes its inputs whole', async () => {
  const { model, dispose } = await loadModel({
    contextLength: 128,
    metadata: [
      ['llama.attention.causal', false],
      ['llama.pooling_type', uint32(1)],
    ],
  });
  const engine = await startEmbeddingEngine(model);
  await expectBatchToBeRight(engine, texts);
  await engine.close();
  await dispose();
});

test('inputs of one engine are no inputs of a closed one', async () => {
  const { model, dispose } = await loadModel(tinyBertSpec());
  const engine = await startEmbeddingEngine(model);
  const inputs: PreparedInputs = await engine.embedder.prepareInputs(['fox']);
  await engine.close();
  await expect(engine.embedder.embed(inputs)).rejects.toMatchObject({ code: 'shutting_down' });
  await dispose();
});
