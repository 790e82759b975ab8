import { describe, expect, test } from 'vitest';
import {
  chosenPooling,
  type EmbeddingTraits,
  embeddingBatchSize,
  embeddingLength,
  embeddingTraits,
  logitsBytes,
  requirePositions,
  unsetLength,
} from '../../../src/model/embedding-traits.ts';
import type { GgufHeader, GgufValue } from '../../../src/model/gguf-header.ts';

function header(
  metadata: Record<string, GgufValue>,
  headShapes: Record<string, readonly number[]> = {},
): GgufHeader {
  return {
    version: 3,
    metadata: new Map(Object.entries(metadata)),
    tensorCount: 1,
    parameterCount: 1,
    headShapes: new Map(Object.entries(headShapes)),
    declaredSizeBytes: 1,
    fileSizeBytes: 1,
  };
}

const head = { 'cls.weight': [64, 64], 'cls.output.weight': [64, 1] };

describe('what a file says about embeddings', () => {
  test.each([
    ['llama', {}, true],
    ['llama', { 'llama.attention.causal': true }, true],
    ['llama', { 'llama.attention.causal': false }, false],
    ['bert', {}, false],
    ['gemma-embedding', {}, false],
  ])('%s with %j generates: %s', (architecture, metadata, generates) => {
    expect(embeddingTraits(architecture, [header(metadata)])).toMatchObject({
      generates,
      wholeInputs: !generates,
    });
  });

  test.each([
    [undefined, undefined],
    [0, undefined],
    [1, 'mean'],
    [2, 'cls'],
    [3, 'last'],
    [5, undefined],
  ])('pooling type %s is %s', (number, pooling) => {
    const metadata = number === undefined ? {} : { 'bert.pooling_type': number };
    expect(embeddingTraits('bert', [header(metadata)]).pooling).toBe(pooling);
  });

  test.each([
    ['a head of two layers', 'bert', head, 1, 'rank'],
    ['a head of one layer with one row', 'jina-bert-v2', { 'cls.weight': [64, 1] }, 1, 'rank'],
    ['no head', 'bert', {}, 1, undefined],
    ['half a head', 'bert', { 'cls.weight': [64, 64] }, 1, undefined],
    ['a head of several classes', 'bert', head, 3, undefined],
    ['yes and no', 'qwen3', { 'cls.output.weight': [64, 2] }, 2, 'rank'],
    ['yes alone', 'qwen3', { 'cls.output.weight': [64, 1] }, 1, undefined],
  ] as const)('rank with %s', (_, architecture, shapes, labelCount, pooling) => {
    const metadata = {
      [`${architecture}.pooling_type`]: 4,
      [`${architecture}.classifier.output_labels`]: { arrayLength: labelCount },
    };
    expect(embeddingTraits(architecture, [header(metadata, shapes)]).pooling).toBe(pooling);
  });

  test('a head may lie in any part of a split file', () => {
    const parts = [header({ 'bert.pooling_type': 4 }), header({}, head)] as const;
    expect(embeddingTraits('bert', parts).pooling).toBe('rank');
  });
});

const traits: EmbeddingTraits = {
  generates: true,
  wholeInputs: false,
  pooling: undefined,
  vocabularySize: 1000,
};

describe('what is made of it', () => {
  test('the operator’s pooling, else the file’s, else the mean', () => {
    expect(chosenPooling('auto', traits)).toBe('mean');
    expect(chosenPooling('auto', { pooling: 'rank' })).toBe('rank');
    expect(chosenPooling('last', { pooling: 'rank' })).toBe('last');
  });

  test('8192 tokens at most where nobody prepared for more', () => {
    expect(embeddingLength(16_384, 'auto', traits)).toBe(8192);
    expect(embeddingLength(4096, 'auto', traits)).toBe(4096);
    expect(embeddingLength(16_384, 'mean', traits)).toBe(16_384);
    expect(embeddingLength(16_384, 'auto', { ...traits, pooling: 'last' })).toBe(16_384);
    expect(embeddingLength(16_384, 'auto', { ...traits, generates: false })).toBe(16_384);
  });

  test('batches of so many logits, but of a whole input where that is needed', () => {
    const limits = { maxEmbeddingLogits: 2 ** 26, minEmbeddingBatchSize: 32 };
    const shape = { ...traits, contextLength: 2048 };
    expect(embeddingBatchSize(shape, 512, limits)).toBe(512);
    expect(embeddingBatchSize({ ...shape, vocabularySize: 2 ** 18 }, 512, limits)).toBe(256);
    expect(embeddingBatchSize({ ...shape, vocabularySize: 2 ** 24 }, 512, limits)).toBe(32);
    expect(embeddingBatchSize({ ...shape, wholeInputs: true }, 512, limits)).toBe(2048);
  });

  test('logits count once, and twice where the model generates', () => {
    const shape = { ...traits, contextLength: 2048 };
    expect(logitsBytes(shape, 10)).toEqual({ resultBytes: 40_000, graphBytes: 40_000 });
    expect(logitsBytes({ ...shape, generates: false }, 10).graphBytes).toBe(0);
  });

  test('8192 tokens at most of a model without a decoder, unless more is asked for', () => {
    expect(unsetLength(undefined, 512)).toBe(512);
    expect(unsetLength(undefined, 32_768)).toBe(8192);
    expect(unsetLength(16_384, 32_768)).toBe(32_768);
  });

  test('no more context than positions', () => {
    expect(() => requirePositions(513, 512)).toThrow(/CTX 513 .* 512 positions/);
    for (const length of [undefined, 1, 512])
      expect(() => requirePositions(length, 512)).not.toThrow();
  });
});
