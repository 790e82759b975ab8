import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { ChatStreamMeter, type Completion } from './chat-stream.ts';
import { type Failure, RequestError, readErrorBody } from './failure.ts';

/** The outcome of one streamed request. Times are values of `performance.now()`. */
export type ChatOutcome =
  | { readonly ok: true; readonly startedAtMs: number; readonly completion: Completion }
  | {
      readonly ok: false;
      readonly startedAtMs: number;
      readonly endedAtMs: number;
      readonly failure: Failure;
    };

/** A whole reply. */
export interface Reply {
  readonly status: number;
  readonly body: string;
  /** From writing the request on an open connection to the last byte of the reply. */
  readonly totalMs: number;
}

export interface ClientOptions {
  /** Its path is kept; a trailing `/v1` and slashes are dropped. */
  readonly url: URL;
  readonly apiKey: string | undefined;
  /** Maximum time without a byte. */
  readonly timeoutMs: number;
}

export interface ChatTiming {
  /** Ends the request; its outcome is then undefined. */
  readonly signal?: AbortSignal;
  /** Start of the clock; by default the clock starts when the request is written. */
  readonly intendedAtMs?: number;
}

/** Timeout of opening a connection. */
const connectTimeoutMs = 10_000;
/** Maximum size of a reply that is not a stream. */
const bodyLimitBytes = 65_536;
const messageLimit = 300;

const lostConnectionCodes: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE']);

/** A clock that starts when the request can be written: once the connection is open. */
interface Sent {
  startedAtMs: number;
}

/** One OpenAI-compatible server. Connections are kept open and reused. */
export class BenchClient {
  readonly #baseUrl: string;
  readonly #apiKey: string | undefined;
  readonly #timeoutMs: number;
  readonly #isTls: boolean;
  readonly #agent: http.Agent;

  constructor({ url, apiKey, timeoutMs }: ClientOptions) {
    this.#baseUrl = (url.origin + url.pathname).replace(/\/+$/, '').replace(/\/v1$/, '');
    this.#apiKey = apiKey;
    this.#timeoutMs = timeoutMs;
    this.#isTls = url.protocol === 'https:';
    this.#agent = new (this.#isTls ? https : http).Agent({
      keepAlive: true,
      maxFreeSockets: Number.POSITIVE_INFINITY,
    });
  }

  /** URL of the server, without `/v1`. */
  get baseUrl(): string {
    return this.#baseUrl;
  }

  /** Closes the connections. */
  close(): void {
    this.#agent.destroy();
  }

  /**
   * Gets a whole reply, of any status.
   * @param connection - `new` opens a connection for this request; opening it is not measured
   * @throws {RequestError}
   */
  async get(
    path: string,
    { connection, signal }: { connection: 'new' | 'kept'; signal?: AbortSignal },
  ): Promise<Reply> {
    const sent: Sent = { startedAtMs: performance.now() };
    const agent = connection === 'new' ? false : this.#agent;
    try {
      const response = await this.#send({ method: 'GET', path, agent, signal, sent });
      const body = await readBody(response);
      const totalMs = performance.now() - sent.startedAtMs;
      return { status: response.statusCode ?? 0, body, totalMs };
    } catch (error) {
      throw new RequestError(this.#failureOf(error));
    }
  }

  /** Streams one chat completion and measures it. Undefined when `signal` ended it. */
  async chat(body: object, { signal, intendedAtMs }: ChatTiming): Promise<ChatOutcome | undefined> {
    const sent: Sent = { startedAtMs: performance.now() };
    const startedAtMs = () => intendedAtMs ?? sent.startedAtMs;
    const text = JSON.stringify(body);
    const path = '/v1/chat/completions';
    try {
      const agent = this.#agent;
      const response = await this.#send({ method: 'POST', path, body: text, agent, signal, sent });
      const completion = await measure(response, startedAtMs());
      return { ok: true, startedAtMs: startedAtMs(), completion };
    } catch (error) {
      if (signal?.aborted === true) return undefined;
      const failure = this.#failureOf(error);
      return { ok: false, startedAtMs: startedAtMs(), endedAtMs: performance.now(), failure };
    }
  }

  async #send(exchange: Exchange): Promise<IncomingMessage> {
    try {
      return await this.#sendOnce(exchange);
    } catch (error) {
      // The server closed an idle connection at the moment of its reuse. The request did not fail; a request that
      // kills the server fails the second time, too.
      if (!(error instanceof StaleConnection)) throw error;
      return await this.#sendOnce(exchange);
    }
  }

  #sendOnce({ method, path, body, agent, signal, sent }: Exchange): Promise<IncomingMessage> {
    const { promise, resolve, reject } = deferred<IncomingMessage>();
    const request = (this.#isTls ? https : http).request(this.#baseUrl + path, {
      method,
      agent,
      headers: {
        accept: '*/*',
        ...(body !== undefined && {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        }),
        ...(this.#apiKey !== undefined && { authorization: `Bearer ${this.#apiKey}` }),
      },
      ...(signal !== undefined && { signal }),
    });
    startClock(request, this.#isTls, sent);
    request.setTimeout(this.#timeoutMs, () => request.destroy(timeoutError(this.#timeoutMs)));
    request.once('response', (response) => {
      // From here on a failure is one of the reply.
      request.on('error', (error) => response.destroy(error));
      resolve(response);
    });
    request.on('error', (error) => {
      const isLost = 'code' in error && lostConnectionCodes.has(String(error.code));
      reject(request.reusedSocket && isLost ? new StaleConnection() : error);
    });
    request.end(body);
    return promise;
  }

  #failureOf(error: unknown): Failure {
    const failure = error instanceof RequestError ? error.failure : systemFailure(error);
    const { code } = failure;
    return {
      ...failure,
      ...(code !== undefined && { code: this.#toLine(code) }),
      message: this.#toLine(failure.message),
    };
  }

  /** One short line without the API key, which servers like to repeat when they refuse it. */
  #toLine(text: string): string {
    const safe = this.#apiKey === undefined ? text : text.replaceAll(this.#apiKey, '[api key]');
    return safe.replace(/\s+/g, ' ').trim().slice(0, messageLimit);
  }
}

interface Exchange {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
  readonly agent: http.Agent | false;
  readonly signal: AbortSignal | undefined;
  readonly sent: Sent;
}

class StaleConnection extends Error {}

/** Sets `sent` when the connection is open, and gives up when it does not open in time. */
function startClock(request: ClientRequest, isTls: boolean, sent: Sent): void {
  const start = () => {
    sent.startedAtMs = performance.now();
  };
  request.once('socket', (socket: Socket) => {
    if (!socket.connecting) {
      start();
      return;
    }
    const message = `no connection within ${connectTimeoutMs / 1000} s`;
    const timer = setTimeout(
      () => request.destroy(new RequestError({ kind: 'connect-timeout', message })),
      connectTimeoutMs,
    );
    // Before Node's own listener, which writes the request.
    socket.prependOnceListener(isTls ? 'secureConnect' : 'connect', () => {
      clearTimeout(timer);
      start();
    });
    request.once('close', () => clearTimeout(timer));
  });
}

/** @throws {RequestError} and any error of the connection */
async function measure(response: IncomingMessage, startedAtMs: number): Promise<Completion> {
  if (response.statusCode !== 200) throw await statusError(response);
  const type = response.headers['content-type'] ?? 'no content type';
  if (!type.startsWith('text/event-stream')) {
    response.destroy();
    throw new RequestError({ kind: 'bad-stream', message: `the reply is ${type}, not a stream` });
  }
  const meter = new ChatStreamMeter(startedAtMs);
  const { promise, resolve, reject } = deferred<void>();
  response.on('data', (bytes: Buffer) => {
    meter.read(bytes, performance.now());
    if (meter.hasFailed) resolve();
  });
  response.once('end', resolve);
  response.once('error', reject);
  response.once('close', resolve);
  try {
    await promise;
  } catch (error) {
    if (!meter.hasFailed) throw error;
  } finally {
    if (!response.complete) response.destroy();
  }
  return meter.end();
}

async function statusError(response: IncomingMessage): Promise<RequestError> {
  const status = response.statusCode ?? 0;
  const body = await readBody(response);
  let said: Pick<Failure, 'code' | 'message'> | undefined;
  try {
    said = readErrorBody(JSON.parse(body));
  } catch {
    // Not JSON: the text itself is shown.
  }
  const message = body.trim() === '' ? (response.statusMessage ?? '') : body;
  return new RequestError({ kind: 'status', status, ...(said ?? { message }) });
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    if (size < bodyLimitBytes) chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
  }
  return Buffer.concat(chunks).toString();
}

function timeoutError(timeoutMs: number): RequestError {
  const message = `no data for ${timeoutMs / 1000} s`;
  return new RequestError({ kind: 'timeout', message });
}

function systemFailure(error: unknown): Failure {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  // The error of a host with several addresses has no message of its own.
  const message = (error instanceof Error ? error.message : String(error)) || (code ?? 'unknown');
  if (code === undefined) return { kind: 'connect', message };
  if (lostConnectionCodes.has(code)) return { kind: 'connection-lost', code, message };
  // Node's HTTP parser: the port answers, but not with HTTP.
  return { kind: code.startsWith('HPE_') ? 'bad-stream' : 'connect', code, message };
}

function deferred<T>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
