/** Models at an address of their own, kept by host and path. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { ModelPlaces } from '../config/model-places.ts';
import { StartError } from '../core/start-error.ts';
import { partPathsOf, unsplitName } from '../model/split.ts';
import { DownloadError } from './download.ts';
import { fetchFile } from './fetch-file.ts';
import type { LocatedModel } from './located-model.ts';

/** @throws {StartError} exit code 2 for an address that is not that of a GGUF file */
export function locateUrl(given: URL, { urlCache }: ModelPlaces): LocatedModel {
  const shown = `${given.origin}${given.pathname}`;
  const segments = given.pathname.split('/').slice(1).map(decoded);
  const name = segments.at(-1) ?? '';
  if (!/^[^/\\\0]+\.gguf$/i.test(name)) {
    throw new StartError(2, `${shown} does not end in .gguf: give the address of the file itself`);
  }
  const { url, headers } = withoutUser(given);
  const folder = join(urlCache, given.host.replace(':', '_'), ...folderOf(given, segments));
  const parts = partPathsOf(name).map((part) => ({ part, path: join(folder, part) }));
  const path = join(folder, parts[0]?.part ?? name);
  return {
    ...{ name: unsplitName(basename(name, '.gguf')), origin: shown, sizeBytes: 0 },
    path: parts.every((each) => existsSync(each.path)) ? path : undefined,
    fetch: async (watch) => {
      for (const { part, path: partPath } of parts) {
        const partUrl = new URL(url);
        partUrl.pathname = [...segments.slice(0, -1), part].map(encodeURIComponent).join('/');
        const what = `${given.origin}${partUrl.pathname}`;
        await fetchFile(partPath, watch, { url: partUrl, headers, what }).catch((error) => {
          if (!(error instanceof DownloadError)) throw error;
          throw new StartError(1, `${what} could not be downloaded: ${error.message}`);
        });
      }
      return path;
    },
  };
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new StartError(2, `the address has an invalid part: ${segment.slice(0, 80)}`);
  }
}

/** No part leads out of the cache. An address with a query is another file than one without. */
function folderOf({ search }: URL, segments: readonly string[]): string[] {
  const safe = segments.slice(0, -1).map((part) => encodeURIComponent(part).replace(/^\.+$/, '_'));
  if (search === '') return safe;
  return [...safe, createHash('sha256').update(search).digest('hex').slice(0, 16)];
}

/** `fetch` takes no user and password in an address. */
function withoutUser(given: URL): { readonly url: URL; readonly headers: Record<string, string> } {
  const { username, password } = given;
  if (username === '' && password === '') return { url: given, headers: {} };
  const url = new URL(given);
  url.username = '';
  url.password = '';
  const text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { url, headers: { authorization: `Basic ${Buffer.from(text).toString('base64')}` } };
}
