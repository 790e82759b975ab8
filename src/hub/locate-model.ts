/** From the name that a user gives a model to the file of it, or to the download that brings it. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { ModelPlaces } from '../config/model-places.ts';
import { nearest } from '../core/nearest.ts';
import { quote } from '../core/quote.ts';
import { StartError } from '../core/start-error.ts';
import { chooseFiles, type ModelFiles, type RepositoryFile, sizeOf } from './choose-file.ts';
import { DownloadError, download } from './download.ts';
import { withDownloadLock } from './download-lock.ts';
import { CachedRepository } from './hub-cache.ts';
import {
  fileUrl,
  type HubAccess,
  HubUnreachable,
  hubHeaders,
  listRepository,
} from './hub-client.ts';
import { findModel, listLocalModels } from './local-models.ts';
import { type HubReference, readModelReference } from './model-reference.ts';

/** A model that is found. */
export interface LocatedModel {
  /** Without `.gguf`: the id of the model, unless it has an alias. */
  readonly name: string;
  /** Of the first file; undefined until {@link fetch} has brought it. */
  readonly path: string | undefined;
  readonly sizeBytes: number;
  /** What the user gave. */
  readonly origin: string;
  /** Brings what is missing. @returns the path of the first file */
  readonly fetch: (watch: DownloadWatch) => Promise<string>;
}

/** Sees a download pass by. */
export interface DownloadWatch {
  /** @param totalBytes - 0 while it is not known */
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  /** A sentence about what holds it up. */
  readonly onNote: (message: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Finds a model. Asks the hub for the files of a repository, and downloads nothing.
 * @throws {StartError} exit code 2 for a model that there is not, 1 where the hub cannot be reached and the cache has
 *   no such model
 */
export async function locateModel(
  text: string,
  places: ModelPlaces,
  signal: AbortSignal,
): Promise<LocatedModel> {
  const reference = readModelReference(text, new URL(places.hubUrl));
  switch (reference.kind) {
    case 'hub':
      return locateOnHub(reference, text, places, signal);
    case 'url':
      return locateUrl(reference.url, places);
    case 'file':
      return located(reference.path, text);
    case 'name':
      return locateName(reference.name, places);
    default:
      return reference satisfies never;
  }
}

function located(path: string, origin: string): LocatedModel {
  return {
    ...{ name: basename(path, '.gguf'), path, origin, sizeBytes: 0 },
    fetch: async () => path,
  };
}

async function locateOnHub(
  reference: HubReference,
  origin: string,
  places: ModelPlaces,
  signal: AbortSignal,
): Promise<LocatedModel> {
  const cache = new CachedRepository(places.hubCache, reference.repository);
  if (places.offline) return fromCache(reference, origin, cache, 'HF_HUB_OFFLINE is set');
  const access = accessOf(places);
  try {
    const { commit, files } = await listRepository(reference, access, signal);
    const model = chooseFiles(files, reference.repository, reference.choice);
    return onHub(model, { reference, origin, cache, commit, access });
  } catch (error) {
    if (!(error instanceof HubUnreachable)) throw error;
    return fromCache(reference, origin, cache, error.message);
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

/** @throws {StartError} where the cache has no such model */
async function fromCache(
  reference: HubReference,
  origin: string,
  cache: CachedRepository,
  reason: string,
): Promise<LocatedModel> {
  const { repository, revision = 'main', choice } = reference;
  const commit = await cache.commitOf(revision);
  const files = commit === undefined ? [] : await cache.filesOf(commit);
  if (commit === undefined || files.length === 0) {
    throw new StartError(1, `${reason}, and ${cache.folder} has nothing of ${repository}`);
  }
  const model = chooseFiles(files, repository, choice);
  const path = cache.snapshotPath(commit, model.files[0].path);
  return { ...located(path, origin), name: model.name, sizeBytes: sizeOf(model) };
}

interface HubModel {
  readonly reference: HubReference;
  readonly origin: string;
  readonly cache: CachedRepository;
  readonly commit: string;
  readonly access: HubAccess;
}

function onHub(model: ModelFiles, of: HubModel): LocatedModel {
  const { cache, commit, origin } = of;
  const path = cache.snapshotPath(commit, model.files[0].path);
  const isThere = model.files.every((file) => existsSync(cache.snapshotPath(commit, file.path)));
  return {
    ...{ name: model.name, origin, sizeBytes: sizeOf(model) },
    path: isThere ? path : undefined,
    fetch: async (watch) => {
      let doneBytes = 0;
      for (const file of model.files) {
        await fetchFromHub(file, of, {
          ...watch,
          onProgress: (done) => watch.onProgress(doneBytes + done, sizeOf(model)),
        });
        doneBytes += file.sizeBytes;
      }
      return path;
    },
  };
}

async function fetchFromHub(
  file: RepositoryFile,
  of: HubModel,
  watch: DownloadWatch,
): Promise<void> {
  const { reference, cache, commit, access } = of;
  const { repository, revision = 'main' } = reference;
  // Small files have no SHA-256; the commit and the path name their bytes as well.
  const hash = file.sha256 ?? `${commit}-${file.path.replaceAll('/', '-')}`;
  const blob = cache.blobPath(hash);
  await fetchFile(blob, watch, {
    url: fileUrl(repository, commit, file.path, access),
    headers: hubHeaders(access),
    sizeBytes: file.sizeBytes,
    sha256: file.sha256,
    what: `${repository}/${file.path}`,
  });
  await cache.link(commit, revision, file, hash);
}

function locateUrl(url: URL, places: ModelPlaces): LocatedModel {
  const name = decodeURIComponent(url.pathname.split('/').at(-1) ?? '');
  if (!/^[^/\\]+\.gguf$/i.test(name)) {
    throw new StartError(
      2,
      `${url.href} does not end in .gguf: give the address of the file itself`,
    );
  }
  const folder = url.pathname.split('/').slice(1, -1).map(encodeURIComponent);
  const path = join(places.urlCache, url.host.replace(':', '_'), ...folder, name);
  return {
    ...{ name: basename(name, '.gguf'), origin: url.href, sizeBytes: 0 },
    path: existsSync(path) ? path : undefined,
    fetch: async (watch) => {
      await fetchFile(path, watch, { url, headers: {}, what: url.href });
      return path;
    },
  };
}

/** @throws {StartError} exit code 1 with the reason */
async function fetchFile(
  path: string,
  { onProgress, onNote, signal }: DownloadWatch,
  from: {
    readonly url: URL;
    readonly headers: Readonly<Record<string, string>>;
    readonly sizeBytes?: number;
    readonly sha256?: string | undefined;
    readonly what: string;
  },
): Promise<void> {
  const { what, ...source } = from;
  if (existsSync(path)) return;
  const fetchIt = async () => {
    // Another process has brought it meanwhile.
    if (existsSync(path)) return;
    const onRetry = (reason: string, waitMs: number) =>
      onNote(`${reason}; trying again in ${Math.round(waitMs / 1000)} s`);
    await download({ ...source, path, onProgress, onRetry, signal });
  };
  const onWait = (holder: string) => onNote(`waiting for ${holder}, which downloads the same file`);
  try {
    await withDownloadLock(`${path}.lock`, fetchIt, { signal, onWait });
  } catch (error) {
    signal.throwIfAborted();
    const reason = error instanceof DownloadError ? error.message : (error as Error).message;
    throw new StartError(1, `${what} could not be downloaded: ${reason}`, { cause: error });
  }
}

/** @throws {StartError} exit code 2 where there is none */
async function locateName(name: string, places: ModelPlaces): Promise<LocatedModel> {
  const models = await listLocalModels(places);
  const model = findModel(models, name);
  if (model !== undefined) {
    return { ...located(model.path, name), name: model.name, sizeBytes: model.sizeBytes };
  }
  const meant = nearest(
    name,
    models.map((each) => each.name),
  );
  const advice =
    meant === undefined
      ? 'name a file, or a model of the hub as hf:OWNER/REPOSITORY; `models list` shows those of this machine'
      : `did you mean ${meant}?`;
  throw new StartError(2, `there is no model ${quote(name)} on this machine: ${advice}`);
}
