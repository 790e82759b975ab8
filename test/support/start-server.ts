/**
 * A server under test: the built command line on free ports, with the official client connected to it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, onTestFinished } from 'vitest';
import type { Health } from '../../src/api/info/health-shapes.ts';
import { type ModelShape, writeTinyModel } from '../../tools/fixtures/tiny-model.ts';
import { type CliOptions, CliProcess } from './cli-process.ts';
import type { ControlGroup } from './control-group.ts';
import { readSse, type SseFrame } from './read-sse.ts';

/** Another trained model to try beside the bundled one; unset in a plain clone. */
export const testModelPath = process.env.TEST_MODEL || undefined;

/** How long a state of `/health` is waited for. */
const patienceMs = 60_000 * Number(process.env.TEST_PATIENCE || 1);

export interface ServerOptions extends CliOptions {
  /** Left out: nothing is named, the bundled model is served. */
  readonly modelPath?: string;
  readonly flags?: readonly string[];
  /** Limits that the server starts with. */
  readonly controlGroup?: ControlGroup;
  /** Load the probe that {@link TestServer.ask} talks to. */
  readonly probe?: boolean;
}

/** Delays of the server's own event loop since the last reset. */
export interface EventLoopDelay {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** What the server's process holds, after garbage was collected. */
export interface ProcessResources {
  readonly rssBytes: number;
  readonly heapUsedBytes: number;
  readonly externalBytes: number;
  readonly openFileCount: number;
  /** Active handles and requests by kind, as Node names them. */
  readonly active: Readonly<Record<string, number>>;
}

interface ProbeAnswers {
  'reset-delay': object;
  delay: EventLoopDelay;
  resources: ProcessResources;
}

/** A server that listens; its model may still be loading. */
export class TestServer extends CliProcess {
  /** Known once the server listens. */
  #ports: { readonly api: number; readonly health: number } = { api: 0, health: 0 };
  #client: OpenAI | undefined;
  #questionCount = 0;

  async listening(): Promise<void> {
    const { port, healthPort } = await this.line('listening');
    this.#ports = { api: Number(port), health: Number(healthPort) };
  }

  get url(): string {
    return `http://127.0.0.1:${this.#ports.api}`;
  }

  get healthUrl(): string {
    return `http://127.0.0.1:${this.#ports.health}`;
  }

  /** Never retries: a refusal is what the test wants to see. */
  get client(): OpenAI {
    this.#client ??= new OpenAI({ baseURL: `${this.url}/v1`, apiKey: 'none', maxRetries: 0 });
    return this.#client;
  }

  /** Posts a chat without the client's help. */
  chat(
    fields: object,
    { signal, requestId }: { signal?: AbortSignal; requestId?: string } = {},
  ): Promise<Response> {
    return fetch(`${this.url}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(requestId !== undefined && { 'x-request-id': requestId }),
      },
      body: JSON.stringify({ messages: [{ role: 'user', content: 'go on' }], ...fields }),
      ...(signal !== undefined && { signal }),
    });
  }

  async health(): Promise<Health> {
    const reply = await fetch(`${this.url}/health`);
    return (await reply.json()) as Health;
  }

  /** The value of a metric without labels; NaN without one. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  }

  /** Asks `/health` until the queue is as described. */
  async untilQueue(wanted: Partial<Health['queue']>): Promise<void> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const { queue } = await this.health();
      if (
        Object.entries(wanted).every(([key, value]) => queue[key as keyof typeof queue] === value)
      )
        return;
      if (performance.now() > deadline) {
        throw new Error(`waited in vain for ${JSON.stringify(wanted)}: ${JSON.stringify(queue)}`);
      }
    }
  }

  /** Asks the probe inside the server. */
  ask<Question extends keyof ProbeAnswers>(question: Question): Promise<ProbeAnswers[Question]> {
    this.#questionCount += 1;
    const id = this.#questionCount;
    return new Promise((resolve, reject) => {
      const listen = (message: unknown) => {
        const reply = message as { id: number; answer: ProbeAnswers[Question] };
        if (reply.id !== id) return;
        this.child.off('message', listen);
        resolve(reply.answer);
      };
      this.child.on('message', listen);
      void this.exited.then(() => reject(new Error(`the server is gone:\n${this.stderr}`)));
      this.child.send({ id, question });
    });
  }
}

const probeFlags = [
  '--expose-gc',
  '--import',
  new URL('./process-probe.mjs', import.meta.url).href,
];

const baseFlags = [
  ...['--host', '127.0.0.1', '--port', '0', '--port-health', '0', '--no-auth-enabled'],
  // One thread: a tiny model spends its time at barriers otherwise. Without flash attention, whose
  // rounding depends on the shape of the batch.
  ...['--gpu', 'off', '--threads', '1', '--flash-attention', 'off'],
];

/** A server whose model is not loaded before the test says so. */
export interface LoadingServer {
  readonly server: TestServer;
  readonly finishLoading: () => void;
}

/** Starts a server for one test and waits until it listens; it goes on loading until `finishLoading` is called. */
export async function startLoadingServer(options: ServerOptions): Promise<LoadingServer> {
  const gate = join(temporaryFolder(), 'gate');
  const heldTrial = new URL('./held-trial.mjs', import.meta.url).href;
  const server = await startListeningServer({
    ...options,
    env: { ...options.env, TEST_TRIAL_GATE: gate },
    nodeFlags: ['--import', heldTrial],
  });
  return { server, finishLoading: () => writeFileSync(gate, '') };
}

/** Starts a server for one test and waits until it is ready; it is killed when the test is over. */
export async function startServer(options: ServerOptions): Promise<TestServer> {
  const server = await startListeningServer(options);
  await server.line('ready');
  return server;
}

/** Starts a server for one test and waits until it listens; its model may have to come yet. */
export async function startListeningServer(options: ServerOptions): Promise<TestServer> {
  const server = spawnServer(options);
  onTestFinished(() => server.kill());
  await server.listening();
  return server;
}

/** Starts a server for a whole file, from `beforeAll`; it is killed after the file's last test. */
export async function startSharedServer(options: ServerOptions): Promise<TestServer> {
  const server = spawnServer(options);
  shared.add(server);
  await server.listening();
  await server.line('ready');
  return server;
}

function spawnServer(serverOptions: ServerOptions): TestServer {
  const { modelPath, flags = [], probe = false, controlGroup, ...options } = serverOptions;
  const nodeFlags = [...(options.nodeFlags ?? []), ...(probe ? probeFlags : [])];
  const model = modelPath === undefined ? [] : ['--model-path', modelPath];
  const args = [...model, ...baseFlags, ...flags];
  // The probe answers for its own process, which has to be the one that serves.
  const env = { ...options.env, ...(probe && { SUPERVISE: 'false' }) };
  const server = new TestServer(args, { ...options, env, nodeFlags });
  // Long before it looks for limits: node has not even started.
  if (server.child.pid !== undefined) controlGroup?.add(server.child.pid);
  return server;
}

const shared = new Set<TestServer>();
const folders = new Set<string>();
afterAll(async () => {
  await Promise.all([...shared].map((server) => server.kill()));
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder that is removed after the file's last test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lgi-e2e-'));
  folders.add(folder);
  return folder;
}

/** Writes a tiny model, removed after the file's last test. */
export function tinyModelFile(shape: Partial<ModelShape> = {}): string {
  const path = join(temporaryFolder(), 'tiny.gguf');
  writeTinyModel(path, shape);
  return path;
}

/** A stream that is read in the background from its first frame on. */
export class RunningStream {
  readonly frames: SseFrame[] = [];
  /** Resolves once the first text has arrived. */
  readonly started: Promise<void>;
  /** Resolves when the server has closed the stream. */
  readonly ended: Promise<void>;

  constructor(response: Response) {
    let start: () => void = () => {};
    this.started = new Promise((resolve) => {
      start = resolve;
    });
    this.ended = this.#read(response, start);
    // Whoever aborts a stream need not look at how it ended.
    this.ended.catch(() => {});
  }

  /** All text that has arrived. */
  get text(): string {
    return this.frames.map((frame) => choiceOf(frame)?.delta?.content ?? '').join('');
  }

  get isDone(): boolean {
    return this.frames.includes('done');
  }

  get finishReason(): string | undefined {
    return (
      this.frames.map((frame) => choiceOf(frame)?.finish_reason).findLast((each) => each != null) ??
      undefined
    );
  }

  async #read(response: Response, start: () => void): Promise<void> {
    if (response.body === null || !response.ok) {
      throw new Error(`${response.status}: ${await response.text()}`);
    }
    for await (const frame of readSse(response.body)) {
      this.frames.push(frame);
      if (choiceOf(frame)?.delta?.content) start();
    }
  }
}

interface Choice {
  readonly delta?: { readonly content?: string };
  readonly finish_reason?: string | null;
}

function choiceOf(frame: SseFrame): Choice | undefined {
  if (frame === 'done') return undefined;
  return (frame.json as { readonly choices?: readonly Choice[] }).choices?.[0];
}
