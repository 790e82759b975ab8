/**
 * The benchmark's model: random weights in the shape of a real 135M-parameter model with GPT-2's
 * vocabulary. Speed does not depend on what the weights say.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readGgufFileInfo } from 'node-llama-cpp';
import { type TensorType, type WriteProgress, writeGguf } from '../test/support/gguf-writer.ts';
import { tinyModelSpec } from '../test/support/tiny-model.ts';
import { type BytePairVocabulary, controlTokens } from '../test/support/tiny-vocabulary.ts';

const shape = {
  name: 'random 135M',
  architecture: 'llama',
  layerCount: 30,
  width: 576,
  headCount: 9,
  kvHeadCount: 3,
  feedForwardWidth: 1536,
  contextLength: 2048,
  tiedOutput: true,
  seed: 1,
} as const;

const root = fileURLToPath(new URL('..', import.meta.url));
const cacheFolder = join(root, 'build', 'bench');
/** Unpacked from node-llama-cpp's source bundle together with the headers. */
const vocabularyPath = join(root, 'build', 'llama.cpp', 'models', 'ggml-vocab-gpt-2.gguf');
/** What the file's bytes depend on beside the shape. */
const writerPaths = ['gguf-writer.ts', 'tiny-model.ts'].map((name) =>
  join(root, 'test', 'support', name),
);

/** Writes the model unless it is there; returns its path. */
export async function benchModel(
  weightType: TensorType,
  onProgress?: WriteProgress,
): Promise<string> {
  if (!existsSync(vocabularyPath)) {
    throw new Error(`${vocabularyPath} is missing: run \`npm run build\` first`);
  }
  const prefix = `135m-${weightType.toLowerCase()}-`;
  const name = `${prefix}${fingerprint()}.gguf`;
  const path = join(cacheFolder, name);
  if (existsSync(path)) return path;
  removeStale(prefix);
  const spec = tinyModelSpec({ ...shape, weightType, vocabulary: await readVocabulary() });
  writeGguf(path, spec, onProgress);
  return path;
}

function fingerprint(): string {
  const hash = createHash('sha256').update(JSON.stringify(shape));
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
