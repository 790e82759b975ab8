/**
 * Writes GGUF version 3 files: typed metadata, then tensors whose values are made row by row and
 * encoded on the way out, so that a file may be far larger than the memory used to write it.
 * @see https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** A number, or an array of them, with the width it is stored in. */
export interface TypedNumbers {
  readonly type: 'uint16' | 'int32' | 'uint32' | 'float32' | 'uint64';
  readonly value: number | readonly number[];
}

export type MetadataValue = string | boolean | readonly string[] | TypedNumbers;

/** How the values of a tensor are stored. `Q8_0` wants rows of a multiple of 32 values. */
export type TensorType = 'F32' | 'F16' | 'Q8_0';

export interface Tensor {
  readonly name: string;
  readonly type: TensorType;
  /** GGUF's order: the length of a row first. */
  readonly shape: readonly number[];
  /** Fills the values of one row; called once per row, in order. */
  readonly fillRow: (row: Float32Array, rowIndex: number) => void;
  /**
   * Rows that are made; the ones after them repeat them. For files of gigabytes whose values nobody
   * looks at: to make every value would take minutes. All rows unless given.
   */
  readonly distinctRowCount?: number;
}

export interface GgufSpec {
  readonly metadata: readonly (readonly [key: string, value: MetadataValue])[];
  readonly tensors: readonly Tensor[];
}

export type WriteProgress = (writtenBytes: number, totalBytes: number) => void;

export const uint16 = (value: number): TypedNumbers => ({ type: 'uint16', value });
export const uint32 = (value: number): TypedNumbers => ({ type: 'uint32', value });
export const int32 = (value: number | readonly number[]): TypedNumbers => ({
  type: 'int32',
  value,
});
export const float32 = (value: number): TypedNumbers => ({ type: 'float32', value });

const alignment = 32;
const chunkBytes = 4 * 1024 * 1024;
const q8BlockValues = 32;
/** One half-precision scale and 32 signed bytes. */
const q8BlockBytes = 34;

/** Numbers of the format's `gguf_metadata_value_type`, with the bytes each value takes. */
const valueTypes = {
  uint16: { id: 2, bytes: 2 },
  uint32: { id: 4, bytes: 4 },
  int32: { id: 5, bytes: 4 },
  float32: { id: 6, bytes: 4 },
  bool: { id: 7, bytes: 1 },
  string: { id: 8, bytes: 0 },
  array: { id: 9, bytes: 0 },
  uint64: { id: 10, bytes: 8 },
} as const;

/** Numbers of `ggml_type`. */
const tensorTypeIds = { F32: 0, F16: 1, Q8_0: 8 } as const;

/**
 * Writes a file and creates its folder. The file appears under its name only when it is complete.
 * @param onProgress - called about every 4 MB
 */
export function writeGguf(path: string, spec: GgufSpec, onProgress?: WriteProgress): void {
  mkdirSync(dirname(path), { recursive: true });
  const partialPath = `${path}.${process.pid}.partial`;
  try {
    const file = openSync(partialPath, 'w');
    try {
      writeTo(file, spec, onProgress);
    } finally {
      closeSync(file);
    }
    renameSync(partialPath, path);
  } catch (error) {
    rmSync(partialPath, { force: true });
    throw error;
  }
}

function writeTo(file: number, spec: GgufSpec, onProgress: WriteProgress | undefined): void {
  const header = encodeHeader(spec);
  const totalBytes = spec.tensors.reduce(
    (sum, tensor) => sum + aligned(sizeOf(tensor)),
    header.length,
  );
  let writtenBytes = 0;
  const write = (bytes: Uint8Array): void => {
    writeSync(file, bytes);
    writtenBytes += bytes.length;
    onProgress?.(writtenBytes, totalBytes);
  };
  write(header);
  for (const tensor of spec.tensors) {
    for (const chunk of encodeTensor(tensor)) write(chunk);
  }
}

/** Everything before the tensor data, padded to the alignment. */
export function encodeHeader({ metadata, tensors }: GgufSpec): Buffer {
  const parts: Buffer[] = [
    Buffer.from('GGUF'),
    number('uint32', 3),
    number('uint64', tensors.length),
    number('uint64', metadata.length),
  ];
  for (const [key, value] of metadata) parts.push(text(key), Buffer.concat(encodeValue(value)));
  let offset = 0;
  for (const tensor of tensors) {
    parts.push(text(tensor.name), number('uint32', tensor.shape.length));
    for (const length of tensor.shape) parts.push(number('uint64', length));
    parts.push(number('uint32', tensorTypeIds[tensor.type]), number('uint64', offset));
    offset += aligned(sizeOf(tensor));
  }
  const header = Buffer.concat(parts);
  return Buffer.concat([header], aligned(header.length));
}

function encodeValue(value: MetadataValue): Buffer[] {
  if (typeof value === 'string') return [typeId('string'), text(value)];
  if (typeof value === 'boolean') return [typeId('bool'), Buffer.from([Number(value)])];
  if (!('type' in value)) return [...arrayHead('string', value.length), ...value.map(text)];
  const { type, value: numbers } = value;
  if (typeof numbers === 'number') return [typeId(type), number(type, numbers)];
  return [...arrayHead(type, numbers.length), ...numbers.map((each) => number(type, each))];
}

function arrayHead(type: keyof typeof valueTypes, length: number): Buffer[] {
  return [typeId('array'), typeId(type), number('uint64', length)];
}

function typeId(type: keyof typeof valueTypes): Buffer {
  return number('uint32', valueTypes[type].id);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([number('uint64', bytes.length), bytes]);
}

function number(type: TypedNumbers['type'], value: number): Buffer {
  const bytes = Buffer.alloc(valueTypes[type].bytes);
  if (type === 'float32') bytes.writeFloatLE(value);
  else if (type === 'uint64') bytes.writeBigUInt64LE(BigInt(value));
  else if (type === 'int32') bytes.writeInt32LE(value);
  else bytes.writeUIntLE(value, 0, bytes.length);
  return bytes;
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

function rowLengthOf(tensor: Tensor): number {
  const rowLength = tensor.shape[0] ?? 0;
  if (tensor.type === 'Q8_0' && rowLength % q8BlockValues !== 0) {
    throw new RangeError(
      `${tensor.name}: Q8_0 rows hold a multiple of 32 values, not ${rowLength}`,
    );
  }
  return rowLength;
}

function rowBytesOf(tensor: Tensor): number {
  const rowLength = rowLengthOf(tensor);
  if (tensor.type === 'Q8_0') return (rowLength / q8BlockValues) * q8BlockBytes;
  return rowLength * (tensor.type === 'F32' ? 4 : 2);
}

function rowCountOf(tensor: Tensor): number {
  return tensor.shape.slice(1).reduce((product, length) => product * length, 1);
}

function sizeOf(tensor: Tensor): number {
  return rowBytesOf(tensor) * rowCountOf(tensor);
}

/** The data of a tensor in chunks; each is valid until the next one is asked for. */
function* encodeTensor(tensor: Tensor): Generator<Uint8Array> {
  const rowCount = rowCountOf(tensor);
  const madeCount = Math.min(tensor.distinctRowCount ?? rowCount, rowCount);
  const size = sizeOf(tensor);
  if (madeCount === rowCount) {
    yield* encodeRows(tensor, rowCount);
  } else {
    const copies: Buffer[] = [];
    for (const chunk of encodeRows(tensor, madeCount)) copies.push(Buffer.from(chunk));
    const rows = Buffer.concat(copies);
    for (let left = size; left > 0; left -= rows.length) yield rows.subarray(0, left);
  }
  if (aligned(size) > size) yield Buffer.alloc(aligned(size) - size);
}

/** The first rows of a tensor; all chunks share one buffer. */
function* encodeRows(tensor: Tensor, rowCount: number): Generator<Uint8Array> {
  const rowBytes = rowBytesOf(tensor);
  const row = new Float32Array(rowLengthOf(tensor));
  const rowsPerChunk = Math.max(1, Math.floor(chunkBytes / rowBytes));
  const chunk = Buffer.alloc(rowBytes * Math.min(rowsPerChunk, rowCount));
  const encodeRow = rowEncoders[tensor.type];
  let usedBytes = 0;
  for (let rowIndex = 0; rowIndex < rowCount; rowIndex++) {
    tensor.fillRow(row, rowIndex);
    encodeRow(row, chunk, usedBytes);
    usedBytes += rowBytes;
    if (usedBytes === chunk.length) {
      yield chunk;
      usedBytes = 0;
    }
  }
  if (usedBytes > 0) yield chunk.subarray(0, usedBytes);
}

type RowEncoder = (row: Float32Array, target: Buffer, offset: number) => void;

const rowEncoders: Record<TensorType, RowEncoder> = {
  F32: (row, target, offset) => {
    for (let i = 0; i < row.length; i++) target.writeFloatLE(row[i] ?? 0, offset + 4 * i);
  },
  F16: (row, target, offset) => {
    for (let i = 0; i < row.length; i++) target.writeUInt16LE(toHalf(row[i] ?? 0), offset + 2 * i);
  },
  Q8_0: (row, target, offset) => {
    for (let start = 0; start < row.length; start += q8BlockValues) {
      encodeQ8Block(row, start, target, offset);
      offset += q8BlockBytes;
    }
  },
};

function encodeQ8Block(row: Float32Array, start: number, target: Buffer, offset: number): void {
  let largest = 0;
  for (let i = start; i < start + q8BlockValues; i++) {
    largest = Math.max(largest, Math.abs(row[i] ?? 0));
  }
  const toStep = largest > 0 ? 127 / largest : 0;
  target.writeUInt16LE(toHalf(largest / 127), offset);
  for (let i = 0; i < q8BlockValues; i++) {
    target[offset + 2 + i] = Math.round((row[start + i] ?? 0) * toStep);
  }
}

const halfScratch = new DataView(new ArrayBuffer(4));

/** The bits of the nearest half-precision number; tiny values become zero, huge ones infinity. */
function toHalf(value: number): number {
  halfScratch.setFloat32(0, value);
  const bits = halfScratch.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  // Rebias the exponent from 127 to 15 and drop 13 bits of the mantissa, rounding half up.
  const magnitude = ((bits & 0x7fffffff) - (112 << 23) + 0x1000) >> 13;
  if (magnitude < 0x400) return sign | Math.round(Math.abs(value) * 2 ** 24);
  return sign | Math.min(magnitude, 0x7c00);
}
