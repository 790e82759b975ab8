/** Models that are on this machine already, in the folders of this program and of others; they are read where they lie. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { ModelPlaces, OtherPlace } from '../config/model-places.ts';
import { partPathsOf, unsplitName } from '../model/split.ts';
import { isModelFile } from './choose-file.ts';

export interface LocalModel {
  /** As `serve NAME` takes it: the file's without `.gguf`, or `model:tag` of Ollama. */
  readonly name: string;
  /** Of the first part. */
  readonly path: string;
  /** Of all parts. */
  readonly sizeBytes: number;
  /** Whose folder it lies in. */
  readonly owner: string;
}

/** Folders below a place that may hold models; deeper ones are somebody's checkout. */
const maxDepth = 5;

/** All models, those of this program first; the first of several with one name is what the name means. */
export async function listLocalModels(places: ModelPlaces): Promise<LocalModel[]> {
  const own = [
    { owner: 'MODELS_DIR', folder: places.modelsDir },
    { owner: 'Hugging Face', folder: places.hubCache },
    { owner: 'URLs', folder: places.urlCache },
  ].map((place) => ({ ...place, form: 'files' as const }));
  const found = await Promise.all([...own, ...places.others].map(modelsIn));
  return found.flat();
}

function modelsIn({ owner, folder, form }: OtherPlace): Promise<LocalModel[]> {
  return form === 'ollama' ? ollamaModels(folder, owner) : modelsBelow(folder, owner);
}

/** The first model of that name; capital letters do not matter, and `:latest` may be left out. */
export function findModel(models: readonly LocalModel[], name: string): LocalModel | undefined {
  const wanted = name.toLowerCase();
  return models.find((model) => {
    const own = model.name.toLowerCase();
    return own === wanted || own === `${wanted}:latest`;
  });
}

async function modelsBelow(folder: string, owner: string): Promise<LocalModel[]> {
  const paths = await filesBelow(folder, maxDepth);
  const models = paths.filter(isModelFile).map(async (path) => {
    const parts = partPathsOf(path);
    if (parts[0] !== path) return [];
    const sizes = await Promise.all(parts.map(sizeOf));
    // A part that has not come yet, or a link to a blob that is gone.
    if (sizes.includes(undefined)) return [];
    const sizeBytes = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
    return [{ name: unsplitName(basename(path, '.gguf')), path, sizeBytes, owner }];
  });
  return (await Promise.all(models)).flat();
}

async function filesBelow(folder: string, depth: number): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const paths = entries
    .toSorted((one, other) => one.name.localeCompare(other.name))
    .map(async (entry) => {
      const path = join(folder, entry.name);
      if (!entry.isDirectory()) return [path];
      return depth > 0 ? filesBelow(path, depth - 1) : [];
    });
  return (await Promise.all(paths)).flat();
}

async function sizeOf(path: string): Promise<number | undefined> {
  const stats = await stat(path).catch(() => undefined);
  return stats?.isFile() === true ? stats.size : undefined;
}

/** Ollama names models in manifests: `manifests/HOST/NAMESPACE/MODEL/TAG` points to `blobs/sha256-…`. */
async function ollamaModels(folder: string, owner: string): Promise<LocalModel[]> {
  const root = join(folder, 'manifests');
  const manifests = await filesBelow(root, maxDepth);
  const models = manifests.map(async (path) => {
    const [host, ...place] = path.slice(root.length + 1).split('/');
    const layer = await modelLayer(path);
    const tag = place.at(-1);
    if (layer === undefined || tag === undefined || place.length < 2) return [];
    const isLibrary = host === 'registry.ollama.ai' && place[0] === 'library';
    const model = (isLibrary ? place.slice(1, -1) : place.slice(0, -1)).join('/');
    const blob = join(folder, 'blobs', layer.digest.replace(':', '-'));
    const sizeBytes = await sizeOf(blob);
    if (sizeBytes === undefined) return [];
    return [{ name: `${model}:${tag}`, path: blob, sizeBytes, owner }];
  });
  return (await Promise.all(models)).flat();
}

async function modelLayer(path: string): Promise<{ readonly digest: string } | undefined> {
  try {
    const { layers } = JSON.parse(await readFile(path, 'utf8')) as {
      readonly layers?: readonly { readonly mediaType?: string; readonly digest?: string }[];
    };
    const digest = layers?.find(
      ({ mediaType }) => mediaType === 'application/vnd.ollama.image.model',
    )?.digest;
    return digest !== undefined && /^sha256:[0-9a-f]{64}$/.test(digest) ? { digest } : undefined;
  } catch {
    return undefined;
  }
}
