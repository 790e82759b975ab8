/**
 * Stands between an agent and the server: writes down what both say, and asks the model for what a test needs of it.
 * No model of the tests has learned to work as an agent; the proxy makes it call a tool of the agent, or answer in a
 * word, by the means that the API has for it.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request of the agent for text, and what it was answered. */
export interface Exchange {
  readonly path: string;
  /** As the server received it. */
  readonly body: RequestBody;
  readonly status: number;
  readonly reply: string;
}

export type RequestBody = { [field: string]: unknown };

/** Changes the body of a request in place. */
export type Change = (body: RequestBody) => void;

export interface AgentProxy {
  readonly url: string;
  /** All requests so far, those that no change was made to included. */
  readonly exchanges: readonly Exchange[];
  /** Other requests than those for text, such as `HEAD /`. */
  readonly others: readonly string[];
  /** Decides what is changed in each request for text. */
  change: Change;
  close(): Promise<void>;
}

/** The endpoints that generate text. */
const textPath = /^\/v1\/(responses|messages|chat\/completions)$/;

export async function startAgentProxy(serverUrl: string): Promise<AgentProxy> {
  const exchanges: Exchange[] = [];
  const others: string[] = [];
  const proxy = { change: (() => {}) as Change };
  const server = createServer((request, reply) => {
    void forward(request, reply).catch((error: unknown) => {
      others.push(`${request.method} ${request.url}: ${String(error)}`);
      reply.destroy();
    });
  });

  async function forward(request: IncomingMessage, reply: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/' } = request;
    const sent = await textOf(request);
    const { pathname } = new URL(url, serverUrl);
    const isText = method === 'POST' && textPath.test(pathname);
    const body = isText ? (JSON.parse(sent) as RequestBody) : undefined;
    if (body !== undefined) proxy.change(body);
    const answer = await fetch(new URL(url, serverUrl), {
      method,
      headers: forwarded(request),
      ...(sent !== '' && { body: body === undefined ? sent : JSON.stringify(body) }),
    });
    const headers = [...answer.headers].filter(([name]) => !ownHeaders.has(name));
    reply.writeHead(answer.status, Object.fromEntries(headers));
    let text = '';
    const decoder = new TextDecoder();
    for await (const bytes of answer.body ?? []) {
      text += decoder.decode(bytes, { stream: true });
      reply.write(bytes);
    }
    // Before the agent has the whole reply, and with it a reason to end.
    if (body === undefined) others.push(`${method} ${url}: ${answer.status}`);
    else exchanges.push({ path: pathname, body, status: answer.status, reply: text });
    reply.end();
  }

  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    exchanges,
    others,
    get change() {
      return proxy.change;
    },
    set change(change) {
      proxy.change = change;
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

/** Headers of one connection, and those that `fetch` writes. */
const ownHeaders = new Set([
  ...['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'content-encoding'],
  ...['host', 'expect', 'accept-encoding'],
]);

function forwarded({ headers }: IncomingMessage): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) =>
    typeof value === 'string' && !ownHeaders.has(name) ? [[name, value] as [string, string]] : [],
  );
}
