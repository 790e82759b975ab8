import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelConfig } from '../../../src/config/config.ts';
import { modelPlaces } from '../../../src/config/model-places.ts';
import { bundledModelPath } from '../../../src/core/package-info.ts';
import { StartError } from '../../../src/core/start-error.ts';
import { resolveModelSource } from '../../../src/model/source.ts';
import { type BrokenKind, brokenModel } from '../../../tools/fixtures/broken-model.ts';
import { uint16, writeGguf } from '../../../tools/fixtures/gguf-writer.ts';
import { tinyModelSpec, writeTinyModel } from '../../../tools/fixtures/tiny-model.ts';

let modelsDir: string;
let tiny: string;

beforeAll(() => {
  modelsDir = mkdtempSync(join(tmpdir(), 'models-'));
  tiny = join(modelsDir, 'tiny.gguf');
  writeTinyModel(tiny);
});

afterAll(() => rmSync(modelsDir, { recursive: true, force: true }));

function resolve(config: Partial<ModelConfig>, bundledPath?: string) {
  const unset = {
    reference: undefined,
    path: undefined,
    name: undefined,
    mockBackend: false,
    modelsDir,
    places: modelPlaces({}, { env: {}, dataDir: modelsDir, inContainer: false }),
    alias: undefined,
    gpu: 'auto',
    gpuLayers: 'auto',
    kernelCache: undefined,
  } as const;
  return resolveModelSource({ ...unset, ...config }, bundledPath);
}

function failureOf(config: Partial<ModelConfig>, bundledPath?: string): StartError {
  try {
    resolve(config, bundledPath);
  } catch (error) {
    if (error instanceof StartError) return error;
    throw error;
  }
  throw new Error('the model was accepted');
}

/** Writes the tiny model as `partCount` files and returns their paths. */
function writeParts(stem: string, partCount: number): string[] {
  const { metadata, tensors } = tinyModelSpec();
  const perPart = Math.ceil(tensors.length / partCount);
  return Array.from({ length: partCount }, (_, index) => {
    const number = (value: number) => String(value).padStart(5, '0');
    const path = join(modelsDir, `${stem}-${number(index + 1)}-of-${number(partCount)}.gguf`);
    writeGguf(path, {
      metadata: [
        ...(index === 0 ? metadata : []),
        ['split.no', uint16(index)],
        ['split.count', uint16(partCount)],
      ],
      tensors: tensors.slice(index * perPart, (index + 1) * perPart),
    });
    return path;
  });
}

describe('a model that can be served', () => {
  it('is found by path', () => {
    expect(resolve({ path: tiny })).toMatchObject({ path: tiny, id: 'tiny' });
  });

  it('is found by name under MODELS_DIR, in a folder too', () => {
    mkdirSync(join(modelsDir, 'maker'), { recursive: true });
    copyFileSync(tiny, join(modelsDir, 'maker', 'm.gguf'));
    expect(resolve({ name: 'tiny.gguf' }).path).toBe(tiny);
    expect(resolve({ name: 'maker/m.gguf' }).id).toBe('m');
  });

  it('is taken by path where both are set', () => {
    expect(resolve({ path: tiny, name: 'no-such.gguf' }).path).toBe(tiny);
  });

  it('has the alias as its id', () => {
    expect(resolve({ path: tiny, alias: 'gpt-x' }).id).toBe('gpt-x');
  });

  it('may be a symbolic link', () => {
    const link = join(modelsDir, 'link.gguf');
    symlinkSync(tiny, link);
    expect(resolve({ path: link })).toMatchObject({ path: link, id: 'link' });
  });

  it('tells what its header says', () => {
    const source = resolve({ path: tiny });
    expect(source.architecture).toBe('llama');
    expect(source.trainedContextLength).toBeGreaterThan(0);
    expect(source.parameterCount).toBeGreaterThan(0);
    expect(source.quantization).toBe('F32');
  });

  it('is complete in several parts, whichever of them was named', () => {
    const parts = writeParts('whole', 3);
    const whole = resolve({ path: tiny });
    for (const path of parts) {
      const source = resolve({ path });
      expect(source).toMatchObject({ path: parts[0], id: 'whole' });
      expect(source.parameterCount).toBe(whole.parameterCount);
    }
  });
});

describe('the bundled model', () => {
  const emptyDir = '/no/such/folder';

  it('is served where none is named, with a warning that says how to name one', () => {
    const { path, id, bundled, notes } = resolve({ modelsDir: emptyDir });
    expect({ path, id, bundled }).toEqual({
      path: bundledModelPath,
      id: 'tiny-chat',
      bundled: true,
    });
    expect(notes).toEqual([{ level: 'warn', message: expect.stringContaining('no model is set') }]);
    expect(notes[0]?.message).toMatch(/MODEL_PATH.*MODEL_NAME.*MODELS_DIR$/);
  });

  it('names the files that lie in MODELS_DIR unserved: a name may have been forgotten', () => {
    expect(resolve({}).notes[0]?.message).toMatch(/MODELS_DIR \(in .*tiny\.gguf.*\)$/);
  });

  it('is served on purpose with MOCK_BACKEND, and says that loudly', () => {
    const { bundled, notes } = resolve({ mockBackend: true });
    expect(bundled).toBe(true);
    expect(notes).toEqual([
      { level: 'warn', message: expect.stringContaining('MOCK_BACKEND is on: every request') },
    ]);
  });

  it('has the alias as its id', () => {
    expect(resolve({ alias: 'gpt-x' })).toMatchObject({ id: 'gpt-x', bundled: true });
  });

  it('needs no warning where it was named, and no other is called bundled', () => {
    expect(resolve({ path: bundledModelPath })).toMatchObject({ bundled: true, notes: [] });
    expect(resolve({ path: tiny })).toMatchObject({ bundled: false, notes: [] });
  });

  it('that was removed is not replaced in silence: the start says what to set', () => {
    const { message, exitCode } = failureOf({}, '/pruned/tiny-chat.gguf');
    expect(exitCode).toBe(2);
    expect(message).toContain('not part of this installation (/pruned/tiny-chat.gguf)');
    expect(message).toMatch(/MODEL_PATH.*MODEL_NAME.*tiny\.gguf/);
    expect(failureOf({ mockBackend: true }, '/pruned/tiny-chat.gguf').message).toMatch(
      /^MOCK_BACKEND needs the bundled model.*unset it and `serve MODEL` takes/,
    );
  });

  it('that was removed is reported where the folder of models cannot be read either', () => {
    const { message } = failureOf({ modelsDir: emptyDir }, '/pruned/tiny-chat.gguf');
    expect(message).toContain('cannot be read');
  });
});

describe('a model that is not there', () => {
  it.each(['../tiny.gguf', '/etc/passwd', '..', '.', 'a/../../x.gguf'])(
    'refuses MODEL_NAME %s, which is outside MODELS_DIR',
    (name) => {
      const { message, exitCode } = failureOf({ name });
      expect(exitCode).toBe(2);
      expect(message).toContain('must name a file under MODELS_DIR');
    },
  );

  it('lists its neighbours', () => {
    const { message, exitCode } = failureOf({ name: 'typo.gguf' });
    expect(exitCode).toBe(2);
    expect(message).toContain(`${join(modelsDir, 'typo.gguf')} does not exist`);
    expect(message).toContain('tiny.gguf');
  });
});

describe('a file that cannot be served', () => {
  it('is no folder', () => {
    expect(failureOf({ path: modelsDir })).toMatchObject({
      exitCode: 1,
      message: expect.stringContaining(`${modelsDir} is a folder (in ${modelsDir}: `),
    });
  });

  it.each([
    ['version https://git-lfs.github.com/spec/v1\noid sha256:0', 'is a Git LFS pointer'],
    ['\n<!DOCTYPE html><html>', 'is a web page'],
    ['\x80\x01\x00\x00\x00\x00\x00\x00{"__metadata__":{}}', 'is a safetensors file'],
    ['PK\x03\x04archive', 'is a ZIP archive'],
    ['\x1f\x8bgzip', 'is compressed'],
    ['GG', 'is not a GGUF file'],
    ['something else', 'is not a GGUF file'],
  ])('that begins with %j %s', (text, message) => {
    const path = join(modelsDir, 'other.gguf');
    writeFileSync(path, text, 'latin1');
    expect(failureOf({ path }).message).toContain(`${path} ${message}`);
    rmSync(path);
  });

  it('that is not there is said with what may be meant', () => {
    const dangling = join(modelsDir, 'dangling.gguf');
    symlinkSync('gone.gguf', dangling);
    expect(failureOf({ path: dangling }).message).toContain('is a link to gone.gguf, which does');
    rmSync(dangling);
    expect(failureOf({ name: 'tiny' }).message).toContain('did you mean tiny.gguf?');
    expect(failureOf({ name: 'tinny.gguf' }).message).toContain('did you mean tiny.gguf?');
  });

  it.each<[BrokenKind, string]>([
    ['empty', 'is empty; copy or download it again'],
    ['bad-magic', 'is not a GGUF file'],
    ['future-version', 'has GGUF version 99, supported are 2 and 3'],
    ['truncated-header', 'is truncated or corrupt'],
    ['truncated-tensors', 'is truncated: its header declares'],
    ['absurd-counts', 'is corrupt: its header holds the impossible count'],
    ['absurd-string-length', 'is corrupt'],
    ['vocabulary-only', 'holds a vocabulary only'],
    ['not-text', 'is the vision part of a multimodal model (clip), not a text model'],
    ['missing-split-part', '-00002-of-00002.gguf (2 of 2) is missing'],
  ])('is refused when it is %s', (kind, text) => {
    const path = brokenModel(join(modelsDir, `${kind}.gguf`), kind);
    const { message, exitCode } = failureOf({ path });
    expect(exitCode).toBe(1);
    expect(message).toContain(path);
    expect(message).toContain(text);
    expect(message).not.toContain('\n');
  });

  it('states both sizes of a truncated file', () => {
    const path = brokenModel(join(modelsDir, 'short.gguf'), 'truncated-tensors');
    expect(failureOf({ path }).message).toMatch(/declares \d+ bytes, the file has \d+;/);
  });

  it.each([
    ['whisper', 'is a speech recognition model'],
    ['t5', 'is an encoder-decoder model'],
  ])('is refused for its architecture %s', (architecture, text) => {
    const spec = tinyModelSpec();
    const path = join(modelsDir, `${architecture}.gguf`);
    const metadata = [...spec.metadata, ['general.architecture', architecture] as const];
    writeGguf(path, { ...spec, metadata });
    expect(failureOf({ path }).message).toContain(text);
  });

  it.each([
    ['adapter', 'is a LoRA adapter'],
    ['imatrix', 'is an importance matrix'],
  ])('is refused for its type %s', (type, text) => {
    const spec = tinyModelSpec();
    const path = join(modelsDir, `type-${type}.gguf`);
    writeGguf(path, { ...spec, metadata: [...spec.metadata, ['general.type', type]] });
    expect(failureOf({ path }).message).toContain(text);
  });

  it('is refused when a part has lost its name', () => {
    const [, second = ''] = writeParts('renamed', 2);
    const path = join(modelsDir, 'second-half.gguf');
    copyFileSync(second, path);
    expect(failureOf({ path }).message).toContain('is one of 2 parts of a split model');
  });

  it('is refused when a later part is broken', () => {
    const [first = '', second = ''] = writeParts('half', 2);
    writeFileSync(second, 'GG');
    expect(failureOf({ path: first }).message).toContain(`${second} is not a GGUF file`);
  });
});
