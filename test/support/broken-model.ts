/** Files that look like models and are not, one per way a file can be unusable. */
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { encodeHeader, type GgufSpec, int32, uint16, writeGguf } from './gguf-writer.ts';
import { tinyModelSpec } from './tiny-model.ts';

export type BrokenKind =
  | 'empty'
  | 'bad-magic'
  | 'future-version'
  | 'truncated-header'
  | 'truncated-tensors'
  | 'absurd-counts'
  | 'absurd-string-length'
  | 'vocabulary-only'
  | 'not-text'
  | 'unknown-architecture'
  | 'missing-split-part';

/**
 * Writes a broken model and returns its path: the given one, except for `missing-split-part`, where
 * `name.gguf` becomes `name-00001-of-00002.gguf`.
 */
export function brokenModel(path: string, kind: BrokenKind): string {
  const spec = tinyModelSpec();
  switch (kind) {
    case 'empty':
      return writeBytes(path, Buffer.alloc(0));
    case 'bad-magic':
      return writePatched(path, spec, (bytes) => bytes.write('GGML'));
    case 'future-version':
      return writePatched(path, spec, (bytes) => bytes.writeUInt32LE(99, 4));
    case 'absurd-counts':
      return writePatched(path, spec, (bytes) => {
        bytes.writeBigUInt64LE(2n ** 60n, 8);
        bytes.writeBigUInt64LE(2n ** 60n, 16);
      });
    case 'absurd-string-length':
      return writePatched(path, spec, (bytes) => bytes.writeBigUInt64LE(2n ** 62n, 24));
    case 'truncated-header':
      return writeTruncated(path, spec, Math.floor(encodeHeader(spec).length / 2));
    case 'truncated-tensors':
      return writeTruncated(path, spec, encodeHeader(spec).length + 100_000);
    case 'vocabulary-only':
      writeGguf(path, { ...spec, tensors: [] });
      return path;
    case 'not-text':
      return writeArchitecture(path, spec, 'clip');
    case 'unknown-architecture':
      return writeArchitecture(path, spec, 'no-such-architecture');
    case 'missing-split-part':
      return writeFirstPart(path.replace(/(\.gguf)?$/, '-00001-of-00002.gguf'), spec);
    default:
      return kind satisfies never;
  }
}

function writeBytes(path: string, bytes: Uint8Array): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}

function writePatched(path: string, spec: GgufSpec, patch: (bytes: Buffer) => void): string {
  writeGguf(path, spec);
  const bytes = readFileSync(path);
  patch(bytes);
  return writeBytes(path, bytes);
}

function writeTruncated(path: string, spec: GgufSpec, sizeBytes: number): string {
  writeGguf(path, spec);
  truncateSync(path, sizeBytes);
  return path;
}

/** The same file under another architecture's name. */
function writeArchitecture(path: string, spec: GgufSpec, architecture: string): string {
  const metadata = spec.metadata.map(([key, value]) =>
    key === 'general.architecture' ? ([key, architecture] as const) : ([key, value] as const),
  );
  writeGguf(path, { ...spec, metadata });
  return path;
}

/** The first of two parts; the second is removed if it is there. */
function writeFirstPart(path: string, spec: GgufSpec): string {
  const half = Math.ceil(spec.tensors.length / 2);
  writeGguf(path, {
    metadata: [
      ...spec.metadata,
      ['split.no', uint16(0)],
      ['split.count', uint16(2)],
      ['split.tensors.count', int32(spec.tensors.length)],
    ],
    tensors: spec.tensors.slice(0, half),
  });
  rmSync(path.replace('-00001-of-', '-00002-of-'), { force: true });
  return path;
}
