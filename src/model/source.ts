import { existsSync, lstatSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path';
import type { ModelConfig } from '../config/config.ts';
import { nearest } from '../core/nearest.ts';
import { bundledModelPath } from '../core/package-info.ts';
import { readFailure } from '../core/permission-text.ts';
import { StartError } from '../core/start-error.ts';
import { checkServable } from './architecture.ts';
import { type EmbeddingTraits, embeddingTraits } from './embedding-traits.ts';
import { quantizationName } from './file-type.ts';
import { type GgufHeader, readGgufHeader } from './gguf-header.ts';
import { GgufFormatError } from './gguf-reader.ts';
import { splitPartPaths, unsplitName } from './split.ts';

/** A GGUF file whose parts were all validated. */
export interface ModelSource {
  /** The file to load; the first part of a split model. */
  readonly path: string;
  readonly id: string;
  readonly architecture: string;
  readonly trainedContextLength: number | undefined;
  readonly embedding: EmbeddingTraits;
  readonly parameterCount: number;
  /** The type of most weights, such as `Q4_K_M`; undefined if the file does not name it. */
  readonly quantization: string | undefined;
  /** Size of all parts together. */
  readonly sizeBytes: number;
  /** True for the demonstration model of this package. */
  readonly bundled: boolean;
  /** Log lines about the choice. */
  readonly notes: readonly { readonly level: 'warn'; readonly message: string }[];
}

const howToNameAModel =
  '`serve MODEL` takes hf:OWNER/REPOSITORY, a GGUF file or a name of `models list`; in the environment set MODEL, or MODEL_PATH or MODEL_NAME, a file under MODELS_DIR';

/** Maximum number of file names in an error message. */
const listedFileCount = 20;

/**
 * Finds the model file, by default the bundled one, and reads its header, so that a bad file fails at once with its
 * reason.
 * @throws {StartError} exit code 2 for a missing file, 1 for an unusable one
 */
export function resolveModelSource(
  config: ModelConfig,
  bundledPath: string = bundledModelPath,
): ModelSource {
  const namedPath = requestedPath(config);
  if (namedPath === undefined) requireBundled(bundledPath, config);
  const [path, ...otherPaths] = checkedParts(namedPath ?? bundledPath);
  const header = readHeader(path);
  const headers: [GgufHeader, ...GgufHeader[]] = [header, ...otherPaths.map(readHeader)];
  const tensorCount = sum(headers, (part) => part.tensorCount);
  const architecture = checkServable(path, header.metadata, tensorCount);
  const trainedContextLength = header.metadata.get(`${architecture}.context_length`);
  return {
    path,
    id: config.alias ?? unsplitName(basename(path, '.gguf')),
    architecture,
    trainedContextLength:
      typeof trainedContextLength === 'number' && trainedContextLength > 0
        ? trainedContextLength
        : undefined,
    embedding: embeddingTraits(architecture, headers),
    parameterCount: sum(headers, (part) => part.parameterCount),
    quantization: quantizationName(header.metadata.get('general.file_type')),
    sizeBytes: sum(headers, (part) => part.fileSizeBytes),
    bundled: path === bundledPath,
    notes: namedPath === undefined ? [{ level: 'warn', message: bundledNote(config) }] : [],
  };
}

/**
 * What the header of a model file says, for people.
 * @throws {StartError} for a file that cannot be served
 */
export function describeModelFile(path: string): Readonly<Record<string, unknown>> {
  const [first, ...others] = checkedParts(resolve(withHome(path)));
  const header = readHeader(first);
  const headers = [header, ...others.map(readHeader)];
  const tensorCount = sum(headers, (part) => part.tensorCount);
  const architecture = checkServable(first, header.metadata, tensorCount);
  return {
    file: first,
    parts: headers.length,
    sizeBytes: sum(headers, (part) => part.fileSizeBytes),
    name: header.metadata.get('general.name'),
    architecture,
    parameters: sum(headers, (part) => part.parameterCount),
    quantization: quantizationName(header.metadata.get('general.file_type')),
    trainedContext: header.metadata.get(`${architecture}.context_length`),
    chatTemplate: header.metadata.get('tokenizer.chat_template') !== undefined,
    licence: header.metadata.get('general.license'),
  };
}

/**
 * Finds the file of the draft model.
 * @throws {StartError} like {@link resolveModelSource}
 */
export function resolveDraftSource(config: ModelConfig, path: string): ModelSource {
  try {
    return resolveModelSource({ ...config, path, name: undefined, mockBackend: false });
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    throw new StartError(error.exitCode, `DRAFT_MODEL_PATH: ${error.message}`, { cause: error });
  }
}

/** The configured path, if any. */
function requestedPath(config: ModelConfig): string | undefined {
  if (config.path !== undefined) return resolve(withHome(config.path));
  const { name, modelsDir } = config;
  if (name === undefined) return undefined;
  const path = resolve(modelsDir, name);
  const inside = relative(resolve(modelsDir), path);
  if (inside === '' || inside === '..' || inside.startsWith('../') || isAbsolute(inside)) {
    throw new StartError(
      2,
      `MODEL_NAME must name a file under MODELS_DIR ${modelsDir}, received ${JSON.stringify(name)}; ` +
        'use MODEL_PATH for a file elsewhere',
    );
  }
  return path;
}

/** `~` is the shell's to expand; in a compose file or a unit there is none. */
function withHome(path: string): string {
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : path;
}

function requireBundled(path: string, { mockBackend, modelsDir }: ModelConfig): void {
  if (existsSync(path)) return;
  const [reason, remedy] = mockBackend
    ? ['MOCK_BACKEND needs the bundled model, which', `unset it and ${howToNameAModel}`]
    : ['no model is set, and the bundled one', howToNameAModel];
  throw new StartError(
    2,
    `${reason} is not part of this installation (${path}): ${remedy}${listing(modelsDir)}`,
  );
}

/** Warns about the demonstration model, and names models in the folder that could be served instead. */
function bundledNote({ mockBackend, modelsDir }: ModelConfig): string {
  if (mockBackend) {
    return (
      'MOCK_BACKEND is on: every request is answered by the small bundled demonstration model; ' +
      `for a real one unset it and ${howToNameAModel}`
    );
  }
  const unserved = ggufFiles(modelsDir) ?? [];
  return (
    'no model is set: the small bundled demonstration model is served; for a real one ' +
    `${howToNameAModel}${unserved.length === 0 ? '' : listing(modelsDir)}`
  );
}

/** Paths of the model's parts in order, each an existing regular file. */
function checkedParts(path: string): readonly [string, ...string[]] {
  requireFile(path);
  const header = readHeader(path);
  const partCount = header.metadata.get('split.count');
  if (typeof partCount !== 'number' || partCount <= 1) return [path];
  const parts = splitPartPaths(path, partCount);
  if (parts === undefined) {
    throw new StartError(
      1,
      `${path} is one of ${partCount} parts of a split model, but its name does not end in ` +
        `-00001-of-${String(partCount).padStart(5, '0')}.gguf or the like; give the parts the names they were made with`,
    );
  }
  const missing = parts.find((part) => !existsSync(part));
  if (missing !== undefined) {
    throw new StartError(
      1,
      `${path} is part of a split model, its part ${missing} (${parts.indexOf(missing) + 1} of ${partCount}) is missing`,
    );
  }
  for (const part of parts) requireFile(part);
  return parts;
}

function requireFile(path: string): void {
  const stats = explained(path, () => statSync(path, { throwIfNoEntry: false }));
  if (stats === undefined) throw new StartError(2, `model file ${path} ${whyMissing(path)}`);
  if (stats.isDirectory()) throw new StartError(1, `${path} is a folder${listing(path)}`);
  if (!stats.isFile()) throw new StartError(1, `${path} is not a regular file`);
}

function whyMissing(path: string): string {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
    return `is a link to ${readlinkSync(path)}, which does not exist`;
  }
  const folder = dirname(path);
  const names = ggufFiles(folder) ?? [];
  const meant =
    nearest(basename(path), names) ?? names.find((name) => stemOf(name) === basename(path));
  return `does not exist${meant === undefined ? listing(folder) : `, did you mean ${meant}?`}`;
}

function stemOf(name: string): string {
  return basename(name, '.gguf');
}

function readHeader(path: string): GgufHeader {
  const header = explained(path, () => readGgufHeader(path));
  if (header.fileSizeBytes < header.declaredSizeBytes) {
    throw new StartError(
      1,
      `${path} is truncated: its header declares ${header.declaredSizeBytes} bytes, the file has ` +
        `${header.fileSizeBytes}; copy or download it again`,
    );
  }
  return header;
}

function explained<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof GgufFormatError) {
      throw new StartError(1, `${path} ${cause.message}`, { cause });
    }
    throw new StartError(1, `${path} cannot be read: ${readFailure(cause, path)}`, { cause });
  }
}

/** Similar file names, as the end of a sentence. */
function listing(folder: string): string {
  const names = ggufFiles(folder);
  if (names === undefined) return ` (the folder ${folder} cannot be read)`;
  if (names.length === 0) return ` (there are no .gguf files in ${folder})`;
  const shown = names.slice(0, listedFileCount).join(', ');
  const rest = names.length - listedFileCount;
  return ` (in ${folder}: ${shown}${rest > 0 ? ` and ${rest} more` : ''})`;
}

function ggufFiles(folder: string): string[] | undefined {
  try {
    return readdirSync(folder)
      .filter((name) => name.toLowerCase().endsWith('.gguf'))
      .sort();
  } catch {
    return undefined;
  }
}

function sum(headers: readonly GgufHeader[], count: (header: GgufHeader) => number): number {
  return headers.reduce((total, header) => total + count(header), 0);
}
