/** What the Hugging Face hub says about a repository, and where its files come from. */
import { StartError } from '../core/start-error.ts';
import type { RepositoryFile } from './choose-file.ts';
import type { HubReference } from './model-reference.ts';

/** How the hub is reached, by the names that all its tools have for it. */
export interface HubAccess {
  /** `HF_ENDPOINT`. */
  readonly url: URL;
  /** `HF_TOKEN`. */
  readonly token: string | undefined;
}

/** A repository at one commit. */
export interface RepositoryListing {
  readonly commit: string;
  readonly files: readonly RepositoryFile[];
}

/** The hub cannot be reached: what is in the cache may do. */
export class HubUnreachable extends Error {}

/**
 * @throws {HubUnreachable}
 * @throws {StartError} a repository that there is not, or that the token may not read
 */
export async function listRepository(
  { repository, revision }: HubReference,
  access: HubAccess,
  signal: AbortSignal,
): Promise<RepositoryListing> {
  // Only a model of the hub needs it.
  const { HubApiError: ApiError, listFiles, modelInfo } = await import('@huggingface/hub');
  const hub = {
    hubUrl: access.url.href.replace(/\/$/, ''),
    fetch: withToken(access, signal),
  };
  try {
    const { sha } = await modelInfo({
      ...{ name: repository, additionalFields: ['sha'], ...hub },
      ...(revision !== undefined && { revision }),
    });
    // Both become parts of paths.
    if (!/^[0-9a-f]{40}$/.test(sha)) throw new Error('the hub names no commit');
    const files: RepositoryFile[] = [];
    const name = { type: 'model', name: repository } as const;
    for await (const entry of listFiles({ repo: name, revision: sha, recursive: true, ...hub })) {
      if (entry.type !== 'file') continue;
      files.push({
        path: entry.path,
        sizeBytes: entry.lfs?.size ?? entry.size,
        sha256: hashIn(entry.lfs?.oid),
      });
    }
    return { commit: sha, files };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof HubUnreachable) throw error;
    if (!(error instanceof ApiError)) {
      // A page that asks for a login, for instance.
      throw new HubUnreachable(`${access.url.host} answers as no hub does`, { cause: error });
    }
    const { statusCode: status, message } = error;
    throw refusalOf({ status, message }, { repository, revision, access });
  }
}

function hashIn(oid: string | undefined): string | undefined {
  return oid !== undefined && /^[0-9a-f]{64}$/.test(oid) ? oid : undefined;
}

/** Where a file of a commit comes from; the hub redirects to its storage. */
export function fileUrl(repository: string, commit: string, path: string, { url }: HubAccess): URL {
  const place = path.split('/').map(encodeURIComponent).join('/');
  return new URL(`${url.href.replace(/\/$/, '')}/${repository}/resolve/${commit}/${place}`);
}

/** The headers that the hub wants. */
export function hubHeaders({ token }: HubAccess): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

/** The library takes only tokens of huggingface.co; other hubs have others. */
function withToken(access: HubAccess, signal: AbortSignal): typeof fetch {
  return async (input, init) => {
    const headers = new Headers(init?.headers);
    // A page of a list may be on another host.
    const isHub = new URL(String(input)).origin === access.url.origin;
    const own = isHub ? hubHeaders(access) : {};
    for (const [name, value] of Object.entries(own)) headers.set(name, value);
    for (let attempt = 1; ; attempt++) {
      const timeout = AbortSignal.any([signal, AbortSignal.timeout(30_000)]);
      try {
        const response = await fetch(input, { ...init, headers, signal: timeout });
        if (response.status < 500 || attempt === 3) return response;
      } catch (error) {
        signal.throwIfAborted();
        if (attempt === 3)
          throw new HubUnreachable(`${access.url.host} cannot be reached`, { cause: error });
      }
    }
  };
}

/** A reply that refuses. */
export interface HubRefusal {
  readonly status: number;
  /** The header `x-error-code`. */
  readonly errorCode?: string | undefined;
  readonly message: string;
}

/** A sentence with what helps, or that the hub cannot help now. */
export function refusalOf(
  { status, errorCode, message }: HubRefusal,
  of: {
    readonly repository: string;
    readonly revision: string | undefined;
    readonly access: HubAccess;
  },
): Error {
  const { repository, revision, access } = of;
  const page = new URL(`/${repository}`, access.url).href;
  const at = revision === undefined ? '' : ` at ${revision}`;
  if (errorCode === 'GatedRepo') return gated(repository, page);
  switch (status) {
    case 401:
      // The hub does not tell a private repository from none.
      return new StartError(
        2,
        access.token === undefined
          ? `${access.url.host} has no model ${repository}${at}, or shows it only to those who may read it: set HF_TOKEN to a token that may`
          : `${access.url.host} does not accept the token (HF_TOKEN, or that of the login) for ${repository}: it has expired, may not read it, or has a typing error`,
      );
    case 403:
      return gated(repository, page);
    case 404:
      return new StartError(2, `${access.url.host} has no model ${repository}${at}`);
    case 429:
      return new HubUnreachable(`${access.url.host} has had too many requests from this address`);
    default:
      return new HubUnreachable(`${access.url.host} answers ${status}: ${message}`);
  }
}

function gated(repository: string, page: string): StartError {
  return new StartError(
    2,
    `${repository} is given to those who accept its terms: accept them on ${page}, and set HF_TOKEN to a token of that account`,
  );
}
