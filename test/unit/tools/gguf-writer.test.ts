import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { brokenModel } from '../../../tools/fixtures/broken-model.ts';
import {
  encodeHeader,
  type Tensor,
  uint32,
  writeGguf,
} from '../../../tools/fixtures/gguf-writer.ts';
import { tinyModelSpec, writeTinyModel } from '../../../tools/fixtures/tiny-model.ts';
import { controlTokens, tinyVocabulary } from '../../../tools/fixtures/tiny-vocabulary.ts';

const folder = mkdtempSync(join(tmpdir(), 'gguf-writer-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const inFolder = (name: string): string => join(folder, name);
const sha256 = (path: string): string =>
  createHash('sha256').update(readFileSync(path)).digest('hex');

function tensorOf(type: Tensor['type'], values: readonly number[]): Tensor {
  return { name: 't', type, shape: [values.length], fillRow: (row) => row.set(values) };
}

/** The encoded data of a file with nothing but one tensor. */
function encoded(tensor: Tensor): Buffer {
  const path = inFolder('one-tensor.gguf');
  const spec = { metadata: [], tensors: [tensor] };
  writeGguf(path, spec);
  return readFileSync(path).subarray(encodeHeader(spec).length);
}

describe('the GGUF container', () => {
  it('starts with magic, version and counts, and aligns the data to 32 bytes', () => {
    const path = inFolder('container.gguf');
    const spec = {
      metadata: [
        ['general.architecture', 'llama'],
        ['answer', uint32(42)],
      ],
      tensors: [tensorOf('F32', [1, 2, 3]), tensorOf('F32', [4])],
    } as const;
    writeGguf(path, spec);
    const bytes = readFileSync(path);
    expect(bytes.toString('latin1', 0, 4)).toBe('GGUF');
    expect(bytes.readUInt32LE(4)).toBe(3);
    expect(bytes.readBigUInt64LE(8)).toBe(2n);
    expect(bytes.readBigUInt64LE(16)).toBe(2n);
    const dataStart = encodeHeader(spec).length;
    expect(dataStart % 32).toBe(0);
    expect(bytes.readFloatLE(dataStart + 8)).toBe(3);
    expect(bytes.readFloatLE(dataStart + 32)).toBe(4);
    expect(bytes.length).toBe(dataStart + 64);
  });

  it('rounds half-precision values to the nearest', () => {
    const data = encoded(tensorOf('F16', [1, -2, 0.5, 65_504, 1e6, 0, 2 ** -24, 1 + 2 ** -10]));
    const halves = Array.from({ length: 8 }, (_, index) => data.readUInt16LE(2 * index));
    expect(halves).toEqual([0x3c00, 0xc000, 0x3800, 0x7bff, 0x7c00, 0, 1, 0x3c01]);
  });

  it('quantises blocks of 32 values by their largest', () => {
    const values = Array.from({ length: 32 }, (_, index) => (index - 16) / 16);
    const data = encoded(tensorOf('Q8_0', values));
    expect(data.readUInt16LE(0)).toBe(0x2008); // 1/127
    expect(data.readInt8(2)).toBe(-127);
    expect(data.readInt8(2 + 16)).toBe(0);
    expect(data.readInt8(2 + 24)).toBe(64); // 0.5 * 127, rounded
  });

  it('repeats the rows that are made where there are fewer of them', () => {
    const tensor: Tensor = {
      name: 't',
      type: 'F32',
      shape: [2, 5],
      distinctRowCount: 2,
      fillRow: (row, rowIndex) => row.fill(rowIndex),
    };
    const data = encoded(tensor);
    expect(Array.from({ length: 10 }, (_, index) => data.readFloatLE(4 * index))).toEqual([
      0, 0, 1, 1, 0, 0, 1, 1, 0, 0,
    ]);
    expect(data.length).toBe(64);
  });

  it('refuses Q8_0 rows that do not fill their blocks and leaves no file', () => {
    const path = inFolder('refused.gguf');
    const tensor = tensorOf('Q8_0', [1, 2, 3]);
    expect(() => writeGguf(path, { metadata: [], tensors: [tensor] })).toThrow(/multiple of 32/);
    expect(readdirSync(folder).filter((name) => name.startsWith('refused'))).toEqual([]);
  });

  it('reports progress up to the size of the file', () => {
    const path = inFolder('progress.gguf');
    let last = [0, 0];
    writeGguf(path, tinyModelSpec(), (written, total) => {
      last = [written, total];
    });
    expect(last).toEqual([statSync(path).size, statSync(path).size]);
  });
});

describe('tiny models', () => {
  it('are the same for the same seed and different for another', () => {
    writeTinyModel(inFolder('a.gguf'), { seed: 7 });
    writeTinyModel(inFolder('b.gguf'), { seed: 7 });
    writeTinyModel(inFolder('c.gguf'), { seed: 8 });
    expect(sha256(inFolder('a.gguf'))).toBe(sha256(inFolder('b.gguf')));
    expect(sha256(inFolder('a.gguf'))).not.toBe(sha256(inFolder('c.gguf')));
  });

  it('keep their weights when only the metadata changes', () => {
    const weightsOf = (name: string): Buffer => readFileSync(inFolder(name)).subarray(-100_000);
    writeTinyModel(inFolder('short.gguf'), { contextLength: 2048 });
    writeTinyModel(inFolder('long.gguf'), { contextLength: 131_072 });
    expect(weightsOf('short.gguf').equals(weightsOf('long.gguf'))).toBe(true);
  });

  it('have a separate output only when it is not tied, and biases only in qwen2', () => {
    const namesOf = (overrides: Parameters<typeof tinyModelSpec>[0]): string[] =>
      tinyModelSpec(overrides).tensors.map((tensor) => tensor.name);
    expect(namesOf({})).toContain('output.weight');
    expect(namesOf({ tiedOutput: true })).not.toContain('output.weight');
    expect(namesOf({})).not.toContain('blk.0.attn_q.bias');
    expect(namesOf({ architecture: 'qwen2' })).toContain('blk.0.attn_q.bias');
  });
});

describe('the tiny vocabulary', () => {
  const vocabulary = tinyVocabulary();

  it('has the bytes first, every merge once and the control tokens last', () => {
    expect(new Set(vocabulary.tokens).size).toBe(vocabulary.tokens.length);
    expect(vocabulary.tokens.slice(-3)).toEqual([...controlTokens]);
    expect(vocabulary.tokens.length).toBe(256 + vocabulary.merges.length + 3);
    expect(vocabulary.tokens[vocabulary.eotTokenId]).toBe('<|im_end|>');
  });

  it('merges only tokens it has', () => {
    const tokens = new Set(vocabulary.tokens);
    for (const merge of vocabulary.merges) {
      const [left = '', right = ''] = merge.split(' ');
      expect([left, right, left + right].every((text) => tokens.has(text))).toBe(true);
    }
  });
});

describe('broken models', () => {
  it('cut tensor data short of what the header promises', () => {
    writeTinyModel(inFolder('whole.gguf'));
    const path = brokenModel(inFolder('cut.gguf'), 'truncated-tensors');
    expect(statSync(path).size).toBeLessThan(statSync(inFolder('whole.gguf')).size);
    expect(statSync(path).size).toBeGreaterThan(encodeHeader(tinyModelSpec()).length);
  });

  it('name the first of two parts and leave the second out', () => {
    const path = brokenModel(inFolder('split.gguf'), 'missing-split-part');
    expect(path).toMatch(/split-00001-of-00002\.gguf$/);
    expect(existsSync(path)).toBe(true);
    expect(existsSync(path.replace('00001-of', '00002-of'))).toBe(false);
  });
});
