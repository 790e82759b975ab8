/** An OpenAI-compatible server that does exactly what a test says, for what measures servers. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** One chat request as it arrived. */
export interface ChatCall {
  readonly body: Readonly<Record<string, unknown>>;
  readonly authorization: string | undefined;
  /** Counts from 0. */
  readonly index: number;
}

export type ChatScript = (reply: ServerResponse, call: ChatCall) => void | Promise<void>;

export interface ScriptedServer {
  readonly port: number;
  readonly url: URL;
  readonly calls: ChatCall[];
  /** Connections that were ever opened. */
  readonly connectionCount: () => number;
}

export interface ScriptedServerOptions {
  /** Everything is below this path. */
  readonly basePath?: string;
  readonly chat?: ChatScript;
  /** Answers everything else; `/v1/models`, `/ping` and `/health` by default. */
  readonly other?: (request: IncomingMessage, reply: ServerResponse) => void;
}

export const sse = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
export const textFrame = (content: string) => sse({ choices: [{ index: 0, delta: { content } }] });
export const usageFrame = (prompt: number, completion: number) =>
  sse({ choices: [], usage: { prompt_tokens: prompt, completion_tokens: completion } });
export const doneFrame = 'data: [DONE]\n\n';

/** Opens an event stream. */
export function openStream(reply: ServerResponse): ServerResponse {
  return reply.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
}

/** A stream of so many tokens, each in a frame of its own. */
export const chatOf =
  (completionTokenCount: number): ChatScript =>
  (reply, { body }) => {
    openStream(reply);
    const count = Math.min(completionTokenCount, Number(body.max_tokens));
    for (let i = 0; i < count; i++) reply.write(textFrame(`t${i} `));
    reply.end(usageFrame(wordsIn(body), count) + doneFrame);
  };

/** Answers with an error of OpenAI's shape. */
export function replyError(reply: ServerResponse, status: number, error: object): void {
  reply.writeHead(status, { 'content-type': 'application/json' });
  reply.end(JSON.stringify({ error }));
}

/** Listens until the test is over. */
export async function startScriptedServer({
  basePath = '',
  chat = chatOf(8),
  other = answerOther,
}: ScriptedServerOptions = {}): Promise<ScriptedServer> {
  const calls: ChatCall[] = [];
  let connectionCount = 0;
  const server = createServer(async (request, reply) => {
    if (request.url !== `${basePath}/v1/chat/completions`) {
      request.url = request.url?.slice(basePath.length) ?? '';
      other(request, reply);
      return;
    }
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const { authorization } = request.headers;
    const call: ChatCall = { body: JSON.parse(text), authorization, index: calls.length };
    calls.push(call);
    await chat(reply, call);
  });
  server.on('connection', () => {
    connectionCount += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const url = new URL(`http://127.0.0.1:${port}${basePath}`);
  return { port, url, calls, connectionCount: () => connectionCount };
}

/** What a prompt counts here: its words, and three for the template. */
function wordsIn(body: ChatCall['body']): number {
  const messages = body.messages as readonly { readonly content: string }[];
  return messages.reduce((sum, { content }) => sum + content.split(/\s+/).length, 3);
}

function answerOther(request: IncomingMessage, reply: ServerResponse): void {
  const bodies: Readonly<Record<string, string>> = {
    '/v1/models': JSON.stringify({ object: 'list', data: [{ id: 'scripted' }] }),
    '/ping': '',
    '/health': '{"status":"ok"}',
  };
  const body = bodies[request.url ?? ''];
  reply.writeHead(body === undefined ? 404 : 200).end(body ?? 'not found');
}
