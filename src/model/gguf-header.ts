import { closeSync, fstatSync, openSync } from 'node:fs';
import { tensorSizeBytes } from './ggml-types.ts';
import { GgufFormatError, GgufReader } from './gguf-reader.ts';

/** A metadata value. Of arrays only the length is kept. */
export type GgufValue = string | number | bigint | boolean | { readonly arrayLength: number };

/** The header of a GGUF file. */
export interface GgufHeader {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensorCount: number;
  readonly parameterCount: number;
  /** Dimensions of the tensors of a classification head by name, row length first. */
  readonly headShapes: ReadonlyMap<string, readonly number[]>;
  /** End of the last tensor; the minimum length of the file. */
  readonly declaredSizeBytes: number;
  readonly fileSizeBytes: number;
}

const supportedVersions = [2, 3];
/** Limits of llama.cpp's own reader (ggml/src/gguf.cpp, ggml/include/ggml.h). */
const maxNameBytes = 64;
const maxDimensionCount = 4;
/** Maximum length of a key, far above real ones; it rejects corrupt lengths. */
const maxKeyBytes = 65_535;
/** Longer texts (chat templates) are skipped: no check needs them. */
const maxKeptTextBytes = 4096;
/** Real files have about fifty. */
const maxEntryCount = 65_536;
/** Minimum bytes of a key with type and value, and of a tensor with name, dimensions, type and offset. */
const minEntryBytes = 8 + 4 + 1;
const minTensorBytes = 8 + 4 + 4 + 8;

const valueType = { bool: 7, string: 8, array: 9 } as const;
/** Bytes of each fixed-size value type, by its number in the file. */
const scalarSizes: ReadonlyMap<number, number> = new Map([
  [0, 1],
  [1, 1],
  [2, 2],
  [3, 2],
  [4, 4],
  [5, 4],
  [6, 4],
  [valueType.bool, 1],
  [10, 8],
  [11, 8],
  [12, 8],
]);

/**
 * Reads and validates the header of a GGUF file. The real size of the file bounds the work, whatever the header claims:
 * a corrupt file costs an error message, not memory.
 * @throws {GgufFormatError} for an invalid file; system errors unchanged
 */
export function readGgufHeader(path: string): GgufHeader {
  const descriptor = openSync(path, 'r');
  try {
    const { size } = fstatSync(descriptor);
    return parseHeader(new GgufReader(descriptor, size), size);
  } finally {
    closeSync(descriptor);
  }
}

/** What a file is that is no model, by its first bytes, as the end of a sentence. */
export function kindOfFile(text: string): string {
  if (text.startsWith('version https://git-lfs')) {
    return 'is a Git LFS pointer, not the model itself: `git lfs pull` brings it';
  }
  if (/^\s*<(!doctype|html|\?xml)/i.test(text)) {
    return 'is a web page, not a model: it was downloaded from the page about the file';
  }
  // Behind the length of its header in eight bytes.
  if (text.startsWith('{"', 8)) return 'is a safetensors file: it has to be converted to GGUF';
  if (text.startsWith('PK')) {
    return 'is a ZIP archive, such as a PyTorch model: it has to be converted to GGUF';
  }
  if (['\u001f\u008b', '\u0028\u00b5\u002f'].some((magic) => text.startsWith(magic))) {
    return 'is compressed: unpack it first';
  }
  return 'is not a GGUF file: it does not begin with the letters GGUF';
}

function parseHeader(reader: GgufReader, fileSizeBytes: number): GgufHeader {
  if (fileSizeBytes === 0) throw new GgufFormatError('is empty; copy or download it again');
  const magic = reader.bytes(Math.min(4, fileSizeBytes)).toString('latin1');
  if (magic !== 'GGUF' || reader.remaining < 4) {
    const rest = reader.bytes(Math.min(60, reader.remaining)).toString('latin1');
    throw new GgufFormatError(kindOfFile(magic + rest));
  }
  const version = reader.uint32();
  if (!supportedVersions.includes(version)) {
    const isSwapped = (version & 0xffff) === 0;
    throw new GgufFormatError(
      isSwapped
        ? 'is a big-endian GGUF file, only little-endian ones can be served'
        : `has GGUF version ${version}, supported are ${supportedVersions.join(' and ')}`,
    );
  }
  const tensorCount = boundedCount(reader, minTensorBytes, 'tensors');
  const entryCount = boundedCount(reader, minEntryBytes, 'metadata entries', maxEntryCount);
  const metadata = new Map<string, GgufValue>();
  for (let index = 0; index < entryCount; index++) {
    const key = reader.string(maxKeyBytes);
    const value = readValue(reader, reader.uint32(), key);
    if (value !== undefined) metadata.set(key, value);
  }
  const { parameterCount, headShapes, endOffset } = readTensorInfos(reader, tensorCount);
  const dataOffset = padded(reader.offset, alignmentOf(metadata));
  return {
    version,
    metadata,
    tensorCount,
    parameterCount,
    headShapes,
    declaredSizeBytes: tensorCount === 0 ? reader.offset : dataOffset + endOffset,
    fileSizeBytes,
  };
}

/** A count whose items fit the rest of the file. */
function boundedCount(
  reader: GgufReader,
  minBytes: number,
  what: string,
  maxCount = Number.POSITIVE_INFINITY,
): number {
  const count = reader.uint64();
  if (count > reader.remaining / minBytes || count > maxCount) {
    throw new GgufFormatError(
      `is truncated or corrupt: it claims ${count} ${what}, but only ${reader.remaining} bytes follow`,
    );
  }
  return count;
}

/** The value; undefined for a text that is too long to be kept. */
function readValue(reader: GgufReader, type: number, key: string): GgufValue | undefined {
  if (type === valueType.string) {
    const length = reader.uint64();
    if (length <= maxKeptTextBytes) return reader.bytes(length).toString('utf8');
    reader.skip(length);
    return undefined;
  }
  if (type === valueType.array) return { arrayLength: skipArray(reader, key) };
  const size = scalarSizes.get(type);
  if (size === undefined) throw unknownType(key, type);
  return scalar(reader.bytes(size), type);
}

function skipArray(reader: GgufReader, key: string): number {
  const type = reader.uint32();
  const size = type === valueType.string ? 8 : scalarSizes.get(type);
  if (size === undefined) throw unknownType(key, type);
  const length = boundedCount(reader, size, `elements of "${key}"`);
  if (type === valueType.string) for (let index = 0; index < length; index++) reader.skipString();
  else reader.skip(length * size);
  return length;
}

function unknownType(key: string, type: number): GgufFormatError {
  return new GgufFormatError(`is corrupt: "${key}" has the unknown value type ${type}`);
}

function scalar(bytes: Buffer, type: number): number | bigint | boolean {
  switch (type) {
    case 0:
      return bytes.readUInt8();
    case 1:
      return bytes.readInt8();
    case 2:
      return bytes.readUInt16LE();
    case 3:
      return bytes.readInt16LE();
    case 4:
      return bytes.readUInt32LE();
    case 5:
      return bytes.readInt32LE();
    case 6:
      return bytes.readFloatLE();
    case valueType.bool:
      return bytes.readUInt8() !== 0;
    case 10:
      return bytes.readBigUInt64LE();
    case 11:
      return bytes.readBigInt64LE();
    default:
      return bytes.readDoubleLE();
  }
}

function readTensorInfos(
  reader: GgufReader,
  tensorCount: number,
): Pick<GgufHeader, 'parameterCount' | 'headShapes'> & { endOffset: number } {
  const headShapes = new Map<string, readonly number[]>();
  let parameterCount = 0;
  let endOffset = 0;
  for (let index = 0; index < tensorCount; index++) {
    const name = reader.string(maxNameBytes);
    const dimensionCount = reader.uint32();
    if (dimensionCount > maxDimensionCount) {
      throw new GgufFormatError(
        `is corrupt: tensor "${name}" has ${dimensionCount} dimensions, at most ${maxDimensionCount} are allowed`,
      );
    }
    const dimensions = Array.from({ length: dimensionCount }, () => reader.uint64());
    const type = reader.uint32();
    const offset = reader.uint64();
    const sizeBytes = tensorSizeBytes(name, type, dimensions);
    parameterCount += dimensions.reduce((product, length) => product * length, 1);
    endOffset = Math.max(endOffset, offset + sizeBytes);
    if (name.startsWith('cls.')) headShapes.set(name, dimensions);
  }
  return { parameterCount, headShapes, endOffset };
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get('general.alignment') ?? 32;
  const isPowerOfTwo =
    typeof alignment === 'number' && alignment > 0 && Number.isInteger(Math.log2(alignment));
  if (isPowerOfTwo) return alignment;
  throw new GgufFormatError(
    `is corrupt: "general.alignment" must be a power of two, received ${String(alignment)}`,
  );
}

function padded(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}
