import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { modelPlaces } from '../../../src/config/model-places.ts';
import { findModel, type LocalModel, listLocalModels } from '../../../src/hub/local-models.ts';

let home: string;
let models: LocalModel[];

function file(path: string, text = 'GGUF'): void {
  mkdirSync(dirname(join(home, path)), { recursive: true });
  writeFileSync(join(home, path), text);
}

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'local-models-'));
  const digest = `sha256:${'a'.repeat(64)}`;
  file('data/own-Q8_0.gguf');
  file('data/split-00001-of-00002.gguf');
  file('data/split-00002-of-00002.gguf');
  file('data/cut-00001-of-00002.gguf');
  file('data/mmproj-own.gguf');
  file('.cache/huggingface/hub/models--o--n/blobs/1', 'GGUF of the hub');
  const snapshot = '.cache/huggingface/hub/models--o--n/snapshots/c';
  mkdirSync(join(home, snapshot), { recursive: true });
  symlinkSync('../../blobs/1', join(home, snapshot, 'hub-Q4_K_M.gguf'));
  symlinkSync('../../blobs/2', join(home, snapshot, 'gone.gguf'));
  file('.cache/llama.cpp/o_n_llama-Q4_0.gguf');
  file('.lmstudio/models/o/n/studio.gguf');
  file(`.ollama/models/blobs/sha256-${'a'.repeat(64)}`, 'GGUF of Ollama');
  const manifest = (layers: object) => JSON.stringify({ schemaVersion: 2, layers });
  const layer = { mediaType: 'application/vnd.ollama.image.model', digest };
  file('.ollama/models/manifests/registry.ollama.ai/library/qwen3/latest', manifest([layer]));
  file('.ollama/models/manifests/registry.ollama.ai/me/own/8b', manifest([layer]));
  file('.ollama/models/manifests/registry.ollama.ai/library/broken/latest', 'no JSON');
  file('.ollama/models/manifests/registry.ollama.ai/library/other/latest', manifest([{}]));
  models = await listLocalModels(
    modelPlaces(
      { MODELS_DIR: join(home, 'data') },
      { env: { HOME: home }, dataDir: home, inContainer: false },
    ),
  );
});
afterAll(() => rmSync(home, { recursive: true }));

test('models of all programs are found where they lie', () => {
  expect(models.map(({ name, owner, sizeBytes }) => [name, owner, sizeBytes])).toEqual([
    ['own-Q8_0', 'MODELS_DIR', 4],
    ['split', 'MODELS_DIR', 8],
    ['hub-Q4_K_M', 'Hugging Face', 15],
    ['o_n_llama-Q4_0', 'llama.cpp', 4],
    ['studio', 'LM Studio', 4],
    ['qwen3:latest', 'Ollama', 14],
    ['me/own:8b', 'Ollama', 14],
  ]);
});

test.each([
  ['OWN-q8_0', 'data/own-Q8_0.gguf'],
  ['split', 'data/split-00001-of-00002.gguf'],
  ['qwen3', `.ollama/models/blobs/sha256-${'a'.repeat(64)}`],
  ['qwen3:latest', `.ollama/models/blobs/sha256-${'a'.repeat(64)}`],
])('%s is found by its name', (name, path) => {
  expect(findModel(models, name)?.path).toBe(join(home, path));
});

test('a name that no model has finds none', () => {
  expect(findModel(models, 'mmproj-own')).toBeUndefined();
  expect(findModel(models, 'qwen3:8b')).toBeUndefined();
});
