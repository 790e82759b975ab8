import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tensorSizeBytes } from '../../../src/model/ggml-types.ts';
import { readGgufHeader } from '../../../src/model/gguf-header.ts';
import { writeTinyModel } from '../../../tools/fixtures/tiny-model.ts';

let folder: string;
let model: Buffer;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gguf-'));
  const path = join(folder, 'tiny.gguf');
  writeTinyModel(path);
  model = readFileSync(path);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function read(bytes: Uint8Array) {
  const path = join(folder, 'case.gguf');
  writeFileSync(path, bytes);
  return readGgufHeader(path);
}

const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const uint64 = (value: number | bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const text = (value: string) =>
  Buffer.concat([uint64(Buffer.byteLength(value)), Buffer.from(value)]);
const entry = (key: string, type: number, ...value: Buffer[]) =>
  Buffer.concat([text(key), uint32(type), ...value]);
const tensor = (name: string, dimensions: readonly (number | bigint)[], type: number, offset = 0) =>
  Buffer.concat([
    text(name),
    uint32(dimensions.length),
    ...dimensions.map(uint64),
    uint32(type),
    uint64(offset),
  ]);

function header(entries: readonly Buffer[], tensors: readonly Buffer[] = [], version = 3): Buffer {
  const counts = [uint32(version), uint64(tensors.length), uint64(entries.length)];
  return Buffer.concat([Buffer.from('GGUF'), ...counts, ...entries, ...tensors]);
}

describe('readGgufHeader', () => {
  it('finds the end of the last tensor of a real file', () => {
    const { declaredSizeBytes, fileSizeBytes, tensorCount } = read(model);
    expect(fileSizeBytes).toBe(model.length);
    expect(declaredSizeBytes).toBeGreaterThan(model.length - 32);
    expect(declaredSizeBytes).toBeLessThanOrEqual(model.length);
    expect(tensorCount).toBeGreaterThan(0);
  });

  it.each([2, 3])('reads version %d', (version) => {
    expect(read(header([], [], version)).version).toBe(version);
  });

  it('reads every type of value and only the length of arrays', () => {
    const { metadata } = read(
      header([
        entry('u8', 0, Buffer.from([255])),
        entry('i8', 1, Buffer.from([255])),
        entry('u16', 2, Buffer.from([1, 1])),
        entry('i32', 5, uint32(0xffff_ffff)),
        entry('bool', 7, Buffer.from([1])),
        entry('text', 8, text('héllo')),
        entry('u64', 10, uint64(2n ** 63n)),
        entry('numbers', 9, uint32(4), uint64(3), Buffer.alloc(12)),
        entry('words', 9, uint32(8), uint64(2), text('a'), text('bc')),
        entry('long', 8, text('x'.repeat(5000))),
        entry('last', 8, text('here')),
      ]),
    );
    expect(Object.fromEntries(metadata)).toEqual({
      u8: 255,
      i8: -1,
      u16: 257,
      i32: -1,
      bool: true,
      text: 'héllo',
      u64: 2n ** 63n,
      numbers: { arrayLength: 3 },
      words: { arrayLength: 2 },
      last: 'here',
    });
  });

  it('places tensors after the header, at its alignment', () => {
    const bytes = header(
      [entry('general.alignment', 4, uint32(64))],
      [tensor('a', [32, 2], 8), tensor('b', [10], 0, 128)],
    );
    const dataOffset = Math.ceil(bytes.length / 64) * 64;
    expect(read(bytes)).toMatchObject({
      parameterCount: 74,
      declaredSizeBytes: dataOffset + 128 + 40,
    });
  });

  it.each<[string, () => Buffer, string]>([
    ['an empty file', () => Buffer.alloc(0), 'is empty; copy or download it again'],
    ['another format', () => Buffer.from('PK\x03\x04 and more'), 'is a ZIP archive'],
    ['version 1', () => header([], [], 1), 'has GGUF version 1, supported are 2 and 3'],
    ['big endian', () => header([], [], 0x0300_0000), 'is a big-endian GGUF file'],
    [
      'more entries than bytes',
      () => Buffer.concat([Buffer.from('GGUF'), uint32(3), uint64(0), uint64(1000)]),
      'is truncated or corrupt: it claims 1000 metadata entries',
    ],
    [
      'more tensors than bytes',
      () => Buffer.concat([Buffer.from('GGUF'), uint32(3), uint64(2n ** 50n), uint64(0)]),
      'is truncated or corrupt: it claims 1125899906842624 tensors',
    ],
    [
      'an impossible count',
      () => Buffer.concat([Buffer.from('GGUF'), uint32(3), uint64(2n ** 64n - 1n), uint64(0)]),
      'is corrupt: its header holds the impossible count 18446744073709551615',
    ],
    [
      'an endless key',
      () => Buffer.concat([header([]).fill(1, 16, 17), uint64(2n ** 40n), Buffer.alloc(64)]),
      'is corrupt: a name in its header has 1099511627776 bytes',
    ],
    [
      'an endless text',
      () => header([entry('k', 8, uint64(2n ** 40n))]),
      'is truncated or corrupt: its header goes on for 1099511627776 bytes',
    ],
    [
      'an endless array',
      () => header([entry('k', 9, uint32(8), uint64(2n ** 40n))]),
      'is truncated or corrupt: it claims 1099511627776 elements of "k"',
    ],
    [
      'an array of arrays',
      () => header([entry('k', 9, uint32(9), uint64(1))]),
      'is corrupt: "k" has the unknown value type 9',
    ],
    ['an unknown value type', () => header([entry('k', 77)]), '"k" has the unknown value type 77'],
    [
      'a bad alignment',
      () => header([entry('general.alignment', 4, uint32(33))]),
      'is corrupt: "general.alignment" must be a power of two, received 33',
    ],
    [
      'a tensor of five dimensions',
      () => header([], [tensor('t', [1, 1, 1, 1, 1], 0)]),
      'is corrupt: tensor "t" has 5 dimensions',
    ],
    [
      'an unknown tensor type',
      () => header([], [tensor('t', [32], 99)]),
      'cannot be loaded: tensor "t" has type 99, which this version does not know',
    ],
    [
      'a removed tensor type',
      () => header([], [tensor('t', [32], 31)]),
      'cannot be loaded: tensor "t" has type 31, which llama.cpp no longer supports',
    ],
    [
      'rows that do not fill their blocks',
      () => header([], [tensor('t', [33], 8)]),
      'cannot be loaded: tensor "t" has rows of 33 elements, its type needs a multiple of 32',
    ],
    [
      'a tensor too large for any machine',
      () => header([], [tensor('t', [2n ** 50n, 2n ** 50n], 0)]),
      'cannot be loaded: tensor "t" has an impossible size',
    ],
  ])('refuses %s', (_name, bytes, message) => {
    expect(() => read(bytes())).toThrow(message);
  });

  it('ends with a sentence wherever the header is cut', () => {
    const headerEnd = model.indexOf('output_norm') > 0 ? model.indexOf('output_norm') : 2000;
    for (let length = 0; length < headerEnd; length += 97) {
      expect(() => read(model.subarray(0, length))).toThrow(/^is /);
    }
  });

  it('survives any single wrong byte', () => {
    const damaged = Buffer.from(model.subarray(0, 4096));
    for (let index = 0; index < 600; index++) {
      const original = damaged[index] ?? 0;
      damaged[index] = original ^ 0xff;
      try {
        read(damaged);
      } catch (error) {
        expect(error).toMatchObject({ name: 'GgufFormatError' });
      }
      damaged[index] = original;
    }
  });
});

it.each([
  ['f32', 0, 1024],
  ['f16', 1, 512],
  ['q4_0', 2, 144],
  ['q8_0', 8, 272],
  ['q4_K', 12, 144],
  ['q6_K', 14, 210],
  ['iq4_xs', 23, 136],
  ['bf16', 30, 512],
  ['mxfp4', 39, 136],
])('256 elements of %s take their bytes', (_name, type, sizeBytes) => {
  expect(tensorSizeBytes('t', type, [256])).toBe(sizeBytes);
});
