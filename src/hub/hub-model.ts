/** Models of the Hugging Face hub: in its cache, or to be brought there. */
import { readFileSync, statSync } from 'node:fs';
import type { ModelPlaces } from '../config/model-places.ts';
import { StartError } from '../core/start-error.ts';
import { chooseFiles, type ModelFiles, type RepositoryFile, sizeOf } from './choose-file.ts';
import { DownloadError, requireSpace } from './download.ts';
import { fetchFile } from './fetch-file.ts';
import { CachedRepository } from './hub-cache.ts';
import {
  fileUrl,
  type HubAccess,
  HubUnreachable,
  hubHeaders,
  listRepository,
  refusalOf,
} from './hub-client.ts';
import { type DownloadWatch, type LocatedModel, modelHere } from './located-model.ts';
import type { HubReference } from './model-reference.ts';

/**
 * Asks the hub for the files of a repository, and downloads nothing.
 * @param prefersCache - what is here will do: the model of a server that starts again does not change
 * @throws {StartError} exit code 2 for a model that there is not, 1 where the hub cannot be reached and the cache has
 *   no such model
 */
export async function locateOnHub(
  reference: HubReference,
  origin: string,
  places: ModelPlaces,
  { prefersCache, signal }: { readonly prefersCache: boolean; readonly signal: AbortSignal },
): Promise<LocatedModel> {
  const cache = new CachedRepository(places.hubCache, reference.repository);
  const cached = await inCache(reference, origin, cache);
  if (prefersCache && cached !== undefined) return cached;
  if (places.offline) return cached ?? missing('HF_HUB_OFFLINE is set', reference, cache);
  const access = accessOf(places);
  try {
    const { commit, files } = await listRepository(reference, access, signal);
    const model = chooseFiles(files, reference.repository, reference.choice);
    return onHub(model, { reference, origin, cache, commit, access });
  } catch (error) {
    if (!(error instanceof HubUnreachable)) throw error;
    return cached ?? missing(error.message, reference, cache);
  }
}

/** The token of the settings, else that of whoever has logged in with the hub's own program. */
function accessOf({ hubUrl, hubToken, hubTokenFile }: ModelPlaces): HubAccess {
  const url = new URL(hubUrl);
  if (hubToken !== undefined) return { url, token: hubToken };
  try {
    return { url, token: readFileSync(hubTokenFile, 'utf8').trim() || undefined };
  } catch {
    return { url, token: undefined };
  }
}

/** The model of the revision's last known commit, else of any commit that has it. */
async function inCache(
  { repository, revision = 'main', choice }: HubReference,
  origin: string,
  cache: CachedRepository,
): Promise<LocatedModel | undefined> {
  for (const commit of await cache.commitsOf(revision)) {
    const files = await cache.filesOf(commit);
    const model = wholeModel(files, repository, choice);
    if (model === undefined) continue;
    const path = cache.snapshotPath(commit, model.files[0].path);
    return modelHere(path, { name: model.name, origin, sizeBytes: sizeOf(model) });
  }
  return undefined;
}

function wholeModel(
  files: readonly RepositoryFile[],
  repository: string,
  choice: string | undefined,
): ModelFiles | undefined {
  try {
    return chooseFiles(files, repository, choice);
  } catch {
    return undefined;
  }
}

function missing(
  reason: string,
  { repository, choice }: HubReference,
  { folder }: CachedRepository,
): never {
  const what = choice === undefined ? 'nothing' : `no ${choice}`;
  throw new StartError(1, `${reason}, and ${folder} has ${what} of ${repository}`);
}

interface HubModel {
  readonly reference: HubReference;
  readonly origin: string;
  readonly cache: CachedRepository;
  readonly commit: string;
  readonly access: HubAccess;
}

function onHub(model: ModelFiles, of: HubModel): LocatedModel {
  const { reference, cache, commit, origin } = of;
  const pathOf = (file: RepositoryFile) => cache.snapshotPath(commit, file.path);
  const path = pathOf(model.files[0]);
  const absent = model.files.filter((file) => sizeAt(pathOf(file)) !== file.sizeBytes);
  return {
    ...{ name: model.name, origin, sizeBytes: sizeOf(model) },
    path: absent.length === 0 ? path : undefined,
    fetch: async (watch) => {
      const sizeBytes = absent.reduce((sum, file) => sum + file.sizeBytes, 0);
      await requireSpace(cache.folder, sizeBytes).catch((error: Error) => {
        throw new StartError(1, `${origin} could not be downloaded: ${error.message}`);
      });
      let doneBytes = sizeOf(model) - sizeBytes;
      for (const file of absent) {
        const onProgress = (done: number) => watch.onProgress(doneBytes + done, sizeOf(model));
        await fetchFromHub(file, of, { ...watch, onProgress });
        doneBytes += file.sizeBytes;
      }
      // Whoever looks for the revision finds all of the model, or what was there before.
      await cache.setRevision(reference.revision ?? 'main', commit);
      return path;
    },
  };
}

function sizeAt(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

/** @throws {StartError} with what helps */
async function fetchFromHub(
  file: RepositoryFile,
  { reference, cache, commit, access }: HubModel,
  watch: DownloadWatch,
): Promise<void> {
  const { repository, revision } = reference;
  // Small files have no SHA-256; the commit and the path name their bytes as well.
  const hash = file.sha256 ?? `${commit}-${file.path.replaceAll('/', '-')}`;
  const what = `${repository}/${file.path}`;
  try {
    await fetchFile(cache.blobPath(hash), watch, {
      url: fileUrl(repository, commit, file.path, access),
      headers: hubHeaders(access),
      sizeBytes: file.sizeBytes,
      sha256: file.sha256,
      what,
    });
  } catch (error) {
    if (!(error instanceof DownloadError) || error.status === undefined) throw error;
    const { status, errorCode } = error;
    // Everybody may list a repository whose files are for those who have accepted its terms.
    throw refusalOf(
      { status, errorCode, message: error.message },
      { repository, revision, access },
    );
  }
  await cache.link(commit, file, hash);
}
