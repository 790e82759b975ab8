/** Which files of a repository are the model that is asked for. */
import { StartError } from '../core/start-error.ts';
import { partPathsOf, unsplitName } from '../model/split.ts';

/** A file of a repository. */
export interface RepositoryFile {
  /** Within the repository. */
  readonly path: string;
  readonly sizeBytes: number;
  /** In hexadecimal digits; undefined for a small file, which the hub does not hash so. */
  readonly sha256?: string | undefined;
}

/** A model of a repository: one file, or the parts of a split one in order. */
export interface ModelFiles {
  /** Without folder, part number and `.gguf`. */
  readonly name: string;
  readonly files: readonly [RepositoryFile, ...RepositoryFile[]];
}

/** What is tried without a wish: a common size first, then larger ones, then smaller ones. */
const preferred = [
  ...['Q4_K_M', 'Q4_K_S', 'Q4_0', 'Q4_1', 'IQ4_XS', 'IQ4_NL', 'MXFP4', 'Q5_K_M', 'Q5_K_S'],
  ...['Q6_K', 'Q8_0', 'Q3_K_L', 'Q3_K_M', 'Q3_K_S', 'Q2_K', 'BF16', 'F16', 'F32'],
];

/** GGUF files beside models: projectors for images, calibration data, adapters, vocabularies. */
const noModel = /(?:^|[-_.])(?:mmproj|imatrix|lora|adapter|vocab)(?:[-_.]|$)/i;

/** Whether a path is that of a model, or of a part of one. */
export function isModelFile(path: string): boolean {
  return /\.gguf$/i.test(path) && !noModel.test(baseName(path));
}

/** How many models a message lists. */
const listedCount = 12;

/**
 * @param choice - a quantization, or a file of the repository; undefined: a common one
 * @throws {StartError} exit code 2 where there is no such model
 */
export function chooseFiles(
  files: readonly RepositoryFile[],
  repository: string,
  choice?: string,
): ModelFiles {
  const models = modelsOf(files);
  if (models.length === 0) {
    throw new StartError(
      2,
      `${repository} has no GGUF files; repositories that have some usually end in -GGUF`,
    );
  }
  if (choice === undefined) return preferredModel(models);
  if (choice.toLowerCase().endsWith('.gguf')) return fileNamed(choice, files, models, repository);
  const fitting = models.filter((model) => hasQuantization(model, choice));
  const [first, ...others] = fitting;
  if (first === undefined) {
    throw new StartError(2, `${repository} has no ${choice}; it has ${listing(models)}`);
  }
  if (others.length === 0) return first;
  // `UD-Q4_K_XL` beside `Q4_K_XL`: the name with nothing before the quantization is meant.
  const shortest = fitting.toSorted((one, other) => one.name.length - other.name.length);
  const [shortestOne = first, second] = shortest;
  if (second === undefined || second.name.length > shortestOne.name.length) return shortestOne;
  throw new StartError(
    2,
    `${repository} has several models with ${choice}, name the file: ${listing(fitting)}`,
  );
}

/** The models of a repository, in the order of their names. */
export function modelsOf(files: readonly RepositoryFile[]): ModelFiles[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  return files
    .filter(({ path }) => isModelFile(path))
    .flatMap((file) => {
      const parts = partsOf(file, byPath);
      // Parts other than the first belong to it.
      return parts === undefined ? [] : [{ name: unsplitName(baseName(file.path)), files: parts }];
    })
    .sort((one, other) => one.name.localeCompare(other.name));
}

function partsOf(
  file: RepositoryFile,
  byPath: ReadonlyMap<string, RepositoryFile>,
): ModelFiles['files'] | undefined {
  const paths = partPathsOf(file.path);
  if (paths[0] !== file.path) return undefined;
  const [first, ...others] = paths.map((path) => byPath.get(path));
  // A repository without one of the parts has no such model.
  if (first === undefined || others.some((part) => part === undefined)) return undefined;
  return [first, ...others.filter((part) => part !== undefined)];
}

function preferredModel(models: readonly ModelFiles[]): ModelFiles {
  const byTaste = preferred.flatMap((quantization) =>
    models
      .filter((model) => hasQuantization(model, quantization))
      .sort((one, other) => one.name.length - other.name.length),
  );
  const smallest = models.toSorted((one, other) => sizeOf(one) - sizeOf(other));
  const [best] = [...byTaste, ...smallest];
  if (best === undefined) throw new Error('there are no models to choose from');
  return best;
}

function fileNamed(
  path: string,
  files: readonly RepositoryFile[],
  models: readonly ModelFiles[],
  repository: string,
): ModelFiles {
  const found = models.find(({ files: parts }) => parts.some((part) => part.path === path));
  if (found !== undefined) return found;
  const file = files.find((each) => each.path === path);
  if (file !== undefined) return { name: baseName(path), files: [file] };
  throw new StartError(2, `${repository} has no file ${path}; it has ${listing(models)}`);
}

/** Whether the name of the file, or its folder, ends with the quantization. */
function hasQuantization({ files: [{ path }] }: ModelFiles, quantization: string): boolean {
  const name = unsplitName(baseName(path)).toLowerCase();
  const wanted = quantization.toLowerCase();
  const folder = path.split('/').at(-2)?.toLowerCase();
  return new RegExp(`(?:^|[-_./])${escaped(wanted)}$`).test(name) || folder === wanted;
}

export function sizeOf({ files }: ModelFiles): number {
  return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

function listing(models: readonly ModelFiles[]): string {
  const shown = models.slice(0, listedCount).map(({ files: [{ path }] }) => path);
  const rest = models.length - shown.length;
  return `${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

function baseName(path: string): string {
  return (path.split('/').at(-1) ?? path).replace(/\.gguf$/i, '');
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
