/**
 * The models of the benchmarks: random weights in the shapes of real models, with GPT-2's vocabulary. The values of
 * weights do not affect speed.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readGgufFileInfo } from 'node-llama-cpp';
import { type TensorType, type WriteProgress, writeGguf } from '../fixtures/gguf-writer.ts';
import { type ModelShape, tinyModelSpec } from '../fixtures/tiny-model.ts';
import { type BytePairVocabulary, controlTokens } from '../fixtures/tiny-vocabulary.ts';

/** What shapes have in common unless they say otherwise. */
const common = { architecture: 'llama', tiedOutput: true, distinctRowCount: 96 } as const;

/** Model shapes by the value of `--shape`. */
const shapes = {
  /** SmolLM2 135M: a size for two cores. */
  '135m': {
    ...common,
    name: 'random 135M',
    layerCount: 30,
    width: 576,
    headCount: 9,
    kvHeadCount: 3,
    feedForwardWidth: 1536,
    contextLength: 2048,
    tokenCount: null,
    distinctRowCount: null,
  },
  /** Gemma 3 270M: five of six layers attend to the last 512 tokens. */
  'gemma-270m': {
    ...common,
    name: 'random Gemma 270M',
    architecture: 'gemma3',
    layerCount: 18,
    width: 640,
    headCount: 4,
    kvHeadCount: 1,
    headWidth: 256,
    feedForwardWidth: 2048,
    windowLength: 512,
    windowPattern: 6,
    contextLength: 32_768,
    tokenCount: 262_144,
  },
  /** Qwen3 0.6B. */
  '0.6b': {
    ...common,
    name: 'random 0.6B',
    architecture: 'qwen3',
    layerCount: 28,
    width: 1024,
    headCount: 16,
    kvHeadCount: 8,
    headWidth: 128,
    feedForwardWidth: 3072,
    contextLength: 32_768,
    tokenCount: 151_936,
  },
  /** Llama 3.2 1B. */
  '1b': {
    ...common,
    name: 'random 1B',
    layerCount: 16,
    width: 2048,
    headCount: 32,
    kvHeadCount: 8,
    feedForwardWidth: 8192,
    contextLength: 32_768,
    tokenCount: 128_256,
  },
  /** Granite 3.1 1B A400M: 8 of 32 experts. */
  'moe-1b': {
    ...common,
    name: 'random 1B of 32 experts',
    architecture: 'granitemoe',
    layerCount: 24,
    width: 1024,
    headCount: 16,
    kvHeadCount: 8,
    feedForwardWidth: 512,
    expertCount: 32,
    usedExpertCount: 8,
    contextLength: 32_768,
    tokenCount: null,
  },
  /** Llama 3.2 3B. */
  '3b': {
    ...common,
    name: 'random 3B',
    layerCount: 28,
    width: 3072,
    headCount: 24,
    kvHeadCount: 8,
    feedForwardWidth: 8192,
    contextLength: 32_768,
    tokenCount: 128_256,
  },
  /** Llama 3.1 8B, for a GPU: 8.5 GB in Q8_0. */
  '8b': {
    ...common,
    name: 'random 8B',
    layerCount: 32,
    width: 4096,
    headCount: 32,
    kvHeadCount: 8,
    feedForwardWidth: 14_336,
    contextLength: 32_768,
    tiedOutput: false,
    tokenCount: 128_256,
  },
} as const satisfies Record<string, Partial<ModelShape> & { readonly tokenCount: number | null }>;

export type ShapeName = keyof typeof shapes;
export const shapeNames = Object.keys(shapes) as readonly ShapeName[];

const root = fileURLToPath(new URL('../..', import.meta.url));
const cacheFolder = join(root, 'build', 'bench');
/** Unpacked from node-llama-cpp's source bundle together with the headers. */
const vocabularyPath = join(root, 'build', 'llama.cpp', 'models', 'ggml-vocab-gpt-2.gguf');
/** Sources that determine the file's bytes together with the shape and the vocabulary. */
const writerPaths = [
  'gguf-writer.ts',
  'tiny-model.ts',
  'architectures.ts',
  'random-tensors.ts',
].map((name) => join(root, 'tools', 'fixtures', name));

/** Writes the model in one of the writer's types unless the file exists; returns its path. */
export async function writeShape(
  shapeName: ShapeName,
  weightType: TensorType,
  onProgress?: WriteProgress,
): Promise<string> {
  if (!existsSync(vocabularyPath)) {
    throw new Error(`${vocabularyPath} is missing: run \`npm run build\` first`);
  }
  const { tokenCount, ...shape } = shapes[shapeName];
  const prefix = `${shapeName}-${weightType.toLowerCase()}-`;
  const name = `${prefix}${fingerprint(shapeName)}.gguf`;
  const path = join(cacheFolder, name);
  if (existsSync(path)) return path;
  removeStale(prefix);
  const vocabulary = withUnusedTokens(await readVocabulary(), tokenCount);
  const spec = tinyModelSpec({ ...shape, weightType, vocabulary, seed: 1 });
  writeGguf(path, spec, onProgress);
  return path;
}

function fingerprint(shapeName: ShapeName): string {
  const hash = createHash('sha256').update(JSON.stringify(shapes[shapeName]));
  for (const path of [vocabularyPath, ...writerPaths]) hash.update(readFileSync(path));
  return hash.digest('hex').slice(0, 12);
}

function removeStale(prefix: string): void {
  if (!existsSync(cacheFolder)) return;
  for (const name of readdirSync(cacheFolder)) {
    if (name.startsWith(prefix)) rmSync(join(cacheFolder, name));
  }
}

/** GPT-2's tokens and merges, with the control tokens of a chat model. */
async function readVocabulary(): Promise<BytePairVocabulary> {
  const { metadata } = await readGgufFileInfo(vocabularyPath, {
    sourceType: 'filesystem',
    readTensorInfo: false,
    logWarnings: false,
  });
  const { tokens, merges } = metadata.tokenizer.ggml;
  if (merges === undefined) throw new Error(`${vocabularyPath} has no merges`);
  const [endOfText, ...added] = controlTokens;
  const texts = [...tokens, ...added];
  const controlTokenIds = [endOfText, ...added].map((text) => texts.indexOf(text));
  const [eosTokenId = -1, , eotTokenId = -1] = controlTokenIds;
  return {
    preTokenizer: 'gpt-2',
    tokens: texts,
    merges,
    controlTokenIds: new Set(controlTokenIds),
    eosTokenId,
    eotTokenId,
  };
}

/** Fills the vocabulary up to the size of a larger model. No text contains the added tokens; they take part in sampling. */
function withUnusedTokens(
  vocabulary: BytePairVocabulary,
  tokenCount: number | null,
): BytePairVocabulary {
  const missingCount = Math.max(0, (tokenCount ?? 0) - vocabulary.tokens.length);
  const unused = Array.from({ length: missingCount }, (_, index) => `unused${index}`);
  return { ...vocabulary, tokens: [...vocabulary.tokens, ...unused] };
}
