/**
 * A Hugging Face hub of the tests' own on 127.0.0.1: the API of repositories, links that redirect to a storage on another
 * port, ranges, entity tags, the headers of Xet, and every way in which these fail.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a storage does to a download, once for each entry of a list. */
export interface Fault {
  /** The connection ends behind this share of the bytes that are asked for. */
  readonly cutAt?: number;
  /** The reply has this status instead. */
  readonly status?: number;
  readonly retryAfterSeconds?: number;
  /** The bytes are others. */
  readonly isWrong?: boolean;
  /** The whole file comes, whatever the range. */
  readonly ignoresRange?: boolean;
  /** Nothing comes, and the connection stays. */
  readonly isSilent?: boolean;
  /** The second half of the bytes waits for this. */
  readonly untilOpened?: Promise<void>;
}

export interface HubRepository {
  /** Files by path; those of the storage have a SHA-256, the others a hash of git. */
  readonly files: Readonly<Record<string, Buffer>>;
  /** The status of its files without {@link token}; everybody may list it. */
  readonly refusal?: 401 | 403;
  /** Its list has two pages. */
  readonly hasPages?: boolean;
  readonly token?: string;
}

export interface TestHub {
  readonly url: string;
  /** `METHOD PATH`, of the hub and of the storage. */
  readonly requests: readonly string[];
  /** The ranges of the downloads, in order; undefined for a whole file. */
  readonly ranges: readonly (string | undefined)[];
  /** The statuses of the downloads that brought bytes. */
  readonly statuses: readonly number[];
  /** Faults of the next downloads, one each. */
  readonly faults: Fault[];
  /** The `Authorization` of each request for a page of a list. */
  readonly tokens: readonly (string | undefined)[];
  /** Of the API's next replies. */
  readonly apiStatuses: number[];
  close(): Promise<void>;
}

export function commitOf(repository: string): string {
  return createHash('sha1').update(repository).digest('hex');
}

export function sha256Of(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export async function startHub(
  repositories: Readonly<Record<string, HubRepository>>,
): Promise<TestHub> {
  const requests: string[] = [];
  const ranges: (string | undefined)[] = [];
  const faults: Fault[] = [];
  const statuses: number[] = [];
  const tokens: (string | undefined)[] = [];
  const apiStatuses: number[] = [];
  const storage = createServer((request, reply): unknown => {
    requests.push(`${request.method} ${request.url}`);
    // The hub's token is for the hub alone.
    if (request.headers.authorization !== undefined) return sendStatus(reply, 400);
    const hash = request.url?.split('/').at(-1);
    const files = Object.values(repositories).flatMap(({ files }) => Object.values(files));
    const bytes = files.find((each) => sha256Of(each) === hash);
    if (bytes === undefined) return sendStatus(reply, 404);
    ranges.push(request.headers.range);
    return sendBytes(request, reply, { bytes, fault: faults.shift() ?? {}, statuses });
  });
  const storageUrl = await listen(storage);
  const hub = createServer((request, reply) => {
    requests.push(`${request.method} ${request.url}`);
    answer(request, reply);
  });

  function answer(request: IncomingMessage, reply: ServerResponse): ServerResponse {
    const { pathname } = new URL(request.url ?? '/', 'http://hub');
    const parts = pathname.split('/').slice(1).map(decodeURIComponent);
    const isApi = parts[0] === 'api';
    const [owner, name, verb, revision, ...path] = isApi ? parts.slice(2) : parts;
    const id = `${owner}/${name}`;
    const repository = repositories[id];
    const status = isApi ? apiStatuses.shift() : undefined;
    if (status !== undefined) return sendJson(reply, status, { error: 'Try again later' });
    if (repository === undefined)
      return sendJson(reply, 401, { error: 'Invalid username or password.' });
    const commit = commitOf(id);
    if (![commit, 'main', 'HEAD', 'v1'].includes(revision ?? '')) {
      return sendJson(reply, 404, { error: `Invalid rev id: ${revision}` });
    }
    if (verb === 'revision') {
      return sendJson(reply, 200, { _id: '1', id, sha: commit, private: false, gated: false });
    }
    if (verb === 'tree') {
      const tree = treeOf(repository);
      if (repository.hasPages !== true) return sendJson(reply, 200, tree);
      const isSecond = request.url?.includes('cursor=') === true;
      // As a mirror passes it on: with another host than its own.
      const next = `${url.replace('127.0.0.1', 'localhost')}${request.url}&cursor=2`;
      if (!isSecond) reply.setHeader('link', `<${next}>; rel="next"`);
      tokens.push(request.headers.authorization);
      return sendJson(reply, 200, isSecond ? tree.slice(1) : tree.slice(0, 1));
    }
    const isAllowed =
      repository.refusal === undefined ||
      request.headers.authorization === `Bearer ${repository.token}`;
    if (!isAllowed) {
      return sendStatus(reply, repository.refusal ?? 401, { 'x-error-code': 'GatedRepo' });
    }
    const file = repository.files[path.join('/')];
    if (verb !== 'resolve' || file === undefined) {
      return sendStatus(reply, 404, { 'x-error-code': 'EntryNotFound' });
    }
    const hash = sha256Of(file);
    return reply
      .writeHead(302, {
        location: `${storageUrl}/xet-bridge/${hash}`,
        'x-repo-commit': commit,
        'x-linked-size': file.length,
        'x-linked-etag': `"${hash}"`,
        'x-xet-hash': hash,
        link: `<${storageUrl}/auth>; rel="xet-auth", <${storageUrl}/reconstruct>; rel="xet-reconstruction-info"`,
      })
      .end();
  }

  const url = await listen(hub);
  return {
    ...{ url, requests, ranges, faults, statuses, apiStatuses, tokens },
    close: async () => {
      for (const server of [hub, storage]) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
}

function treeOf({ files }: HubRepository): object[] {
  return Object.entries(files).map(([path, bytes]) => {
    const lfs = { oid: sha256Of(bytes), size: bytes.length, pointerSize: 134 };
    const isStored = bytes.length > 1000;
    const oid = createHash('sha1').update(bytes).digest('hex');
    return {
      type: 'file',
      path,
      size: bytes.length,
      oid,
      ...(isStored && { lfs, xetHash: lfs.oid }),
    };
  });
}

function sendBytes(
  { headers }: IncomingMessage,
  reply: ServerResponse,
  { bytes, fault, statuses }: { bytes: Buffer; fault: Fault; statuses: number[] },
): void {
  const etag = `"${sha256Of(bytes)}"`;
  if (fault.isSilent === true) return;
  if (fault.status !== undefined) {
    const after = fault.retryAfterSeconds;
    reply
      .writeHead(fault.status, after === undefined ? {} : { 'retry-after': String(after) })
      .end();
    return;
  }
  const asked = /^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1];
  const isSame = headers['if-range'] === undefined || headers['if-range'] === etag;
  const begin = asked === undefined || !isSame || fault.ignoresRange === true ? 0 : Number(asked);
  if (begin >= bytes.length) {
    reply.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
    return;
  }
  const sent = Buffer.from(bytes.subarray(begin));
  if (fault.isWrong === true) sent[0] = (sent[0] ?? 0) ^ 1;
  statuses.push(begin > 0 ? 206 : 200);
  reply.writeHead(begin > 0 ? 206 : 200, {
    etag,
    'accept-ranges': 'bytes',
    'content-length': sent.length,
    ...(begin > 0 && {
      'content-range': `bytes ${begin}-${bytes.length - 1}/${bytes.length}`,
    }),
  });
  if (fault.untilOpened !== undefined) {
    const half = Math.floor(sent.length / 2);
    reply.write(sent.subarray(0, half));
    void fault.untilOpened.then(() => reply.end(sent.subarray(half)));
    return;
  }
  if (fault.cutAt === undefined) {
    reply.end(sent);
    return;
  }
  // What was sent is read before the connection ends.
  reply.write(sent.subarray(0, Math.floor(sent.length * fault.cutAt)), () => {
    setTimeout(() => reply.destroy(), 20);
  });
}

function sendStatus(
  reply: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>> = {},
): ServerResponse {
  return reply.writeHead(status, headers).end();
}

function sendJson(reply: ServerResponse, status: number, body: object): ServerResponse {
  return reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
