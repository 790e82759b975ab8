/** From the name that a user gives a model to the file of it, or to the download that brings it. */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { ModelPlaces } from '../config/model-places.ts';
import { nearest } from '../core/nearest.ts';
import { quote } from '../core/quote.ts';
import { StartError } from '../core/start-error.ts';
import { unsplitName } from '../model/split.ts';
import { locateOnHub } from './hub-model.ts';
import { findModel, listLocalModels } from './local-models.ts';
import { type LocatedModel, modelHere } from './located-model.ts';
import { readModelReference } from './model-reference.ts';
import { locateUrl } from './url-model.ts';

export interface LocateOptions {
  readonly signal: AbortSignal;
  /** What is here will do, although the hub may have something newer. */
  readonly prefersCache?: boolean;
}

/**
 * Finds a model. Asks the hub for the files of a repository, and downloads nothing.
 * @throws {StartError} exit code 2 for a model that there is not, 1 where the hub cannot be reached and the cache has
 *   no such model
 */
export async function locateModel(
  text: string,
  places: ModelPlaces,
  { signal, prefersCache = false }: LocateOptions,
): Promise<LocatedModel> {
  const reference = readModelReference(text, new URL(places.hubUrl));
  switch (reference.kind) {
    case 'hub':
      return locateOnHub(reference, text, places, { prefersCache, signal });
    case 'url':
      return locateUrl(reference.url, places);
    case 'file':
      return locateFile(reference.path, places);
    case 'name':
      return locateName(reference.name, places);
    default:
      return reference satisfies never;
  }
}

/** A path, or a name that looks like one: Ollama's have slashes, and files of `MODELS_DIR` their ending. */
async function locateFile(path: string, places: ModelPlaces): Promise<LocatedModel> {
  const name = unsplitName(basename(path, '.gguf'));
  const here = modelHere(path, { name, origin: path });
  if (existsSync(path) || path.startsWith('/') || path.startsWith('~') || path.startsWith('.')) {
    return here;
  }
  const inModels = join(places.modelsDir, path);
  if (existsSync(inModels)) return modelHere(inModels, { name, origin: path });
  const listed = findModel(await listLocalModels(places), path);
  if (listed !== undefined) return modelHere(listed.path, { ...listed, origin: path });
  if (/^[\w.-]+\/[\w.-]+(:[\w.-]+)?$/.test(path) && !path.endsWith('.gguf')) {
    throw new StartError(
      2,
      `there is no file and no model ${quote(path)} on this machine; hf:${path} is a model of the hub`,
    );
  }
  return here;
}

/** @throws {StartError} exit code 2 where there is none */
async function locateName(name: string, places: ModelPlaces): Promise<LocatedModel> {
  const models = await listLocalModels(places);
  const model = findModel(models, name);
  if (model !== undefined) return modelHere(model.path, { ...model, origin: name });
  const names = models.map((each) => each.name);
  const meant = nearest(name, names);
  const advice =
    meant === undefined
      ? 'name a file, or a model of the hub as hf:OWNER/REPOSITORY; `models list` shows those of this machine'
      : `did you mean ${meant}?`;
  throw new StartError(2, `there is no model ${quote(name)} on this machine: ${advice}`);
}
