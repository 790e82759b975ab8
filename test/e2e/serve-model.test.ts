/** A model by its name: from a hub, from a URL, from the folders of other programs, and through the `models` command. */
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { CliProcess } from '../support/cli-process.ts';
import { gate } from '../support/fake-engine.ts';
import { sha256Of, startHub, type TestHub } from '../support/hub.ts';
import {
  startListeningServer,
  startServer,
  type TestServer,
  temporaryFolder,
  tinyModelFile,
} from '../support/start-server.ts';

const repository = 'org/Tiny-GGUF';
let hub: TestHub;
let model: Buffer;
let modelPath: string;
let home: string;
let env: Readonly<Record<string, string>>;

beforeAll(async () => {
  modelPath = tinyModelFile();
  model = readFileSync(modelPath);
  hub = await startHub({
    [repository]: {
      files: { 'tiny-Q4_K_M.gguf': model, 'tiny-Q8_0.gguf': Buffer.from('no model') },
    },
  });
});
afterAll(() => hub.close());
beforeEach(() => {
  home = temporaryFolder();
  env = { HOME: home, XDG_CACHE_HOME: join(home, '.cache'), HF_ENDPOINT: hub.url };
});

function start(...flags: string[]): Promise<TestServer> {
  return startServer({ env, flags });
}

async function run(...args: string[]) {
  const child = new CliProcess(args, { env });
  onTestFinished(() => child.kill());
  const { code } = await child.exited;
  return { code, stdout: child.stdout, stderr: child.stderr };
}

async function answers(server: TestServer, id: string): Promise<void> {
  const { data } = await server.client.models.list();
  expect(data.map((each) => each.id)).toEqual([id]);
  expect((await server.chat({ max_tokens: 2 })).status).toBe(200);
}

describe('serve', () => {
  test('downloads a model of the hub while its health says so, and finds it the next time', async () => {
    const rest = gate();
    hub.faults.push({ untilOpened: rest.opened });
    const server = await startListeningServer({ env, flags: [`hf:${repository}`] });
    await expect
      .poll(async () => (await server.health()).backend)
      .toEqual({
        ...{ status: 'downloading', progress: expect.closeTo(0.5) },
      });
    expect(await (await fetch(`${server.healthUrl}/ready`)).text()).toBe('downloading');
    const early = await server.chat({ max_tokens: 2 });
    expect(early.status).toBe(503);
    expect(await early.text()).toContain('still being downloaded (50 %)');
    rest.open();
    await server.line('ready');
    await answers(server, 'tiny-Q4_K_M');
    const blob = join(home, '.cache/huggingface/hub/models--org--Tiny-GGUF/blobs', sha256Of(model));
    expect(existsSync(blob)).toBe(true);
    const again = await start(`hf:${repository}:Q4_K_M`);
    await answers(again, 'tiny-Q4_K_M');
    expect(hub.ranges).toHaveLength(1);
  });

  test('ends at once while it downloads, and goes on the next time', async () => {
    hub.faults.push({ untilOpened: new Promise(() => {}) });
    const count = hub.ranges.length;
    const server = await startListeningServer({ env, flags: [`hf:${repository}`] });
    await expect.poll(async () => (await server.health()).backend.progress).toBeCloseTo(0.5);
    server.child.kill('SIGTERM');
    expect(await server.exited).toEqual({ code: 0, signal: null });
    await answers(await start(`hf:${repository}`), 'tiny-Q4_K_M');
    expect(hub.ranges.slice(count)).toEqual([undefined, expect.stringMatching(/^bytes=[1-9]/)]);
  });

  test('reads models of other programs where they lie', async () => {
    const place = join(home, '.lmstudio/models/org/tiny/own.gguf');
    mkdirSync(dirname(place), { recursive: true });
    copyFileSync(modelPath, place);
    await answers(await start('own'), 'own');
  });

  test('takes a file, and flags of llama-server', async () => {
    const server = await start(modelPath, '-c', '512', '-np', '2', '-ngl', '0');
    expect((await server.health()).queue.max_concurrent).toBe(2);
  });

  test.each([
    [['serve', 'hf:org/none'], 2, /has no model org\/none/],
    [['serve', `hf:${repository}:Q2_K`], 2, /has no Q2_K; it has tiny-Q4_K_M.gguf, tiny-Q8_0.gguf/],
    [['serve', 'nothing'], 2, /there is no model \\?"nothing\\?" on this machine/],
    [['serve', 'a', '--model-path', 'b.gguf'], 2, /MODEL_PATH must not be set beside MODEL/],
    [['serve', '--api-key', 'hunter2'], 2, /--api-key is llama-server's, use AUTH_KEYS_FILE/],
    // What came is no model: found before it is loaded, and said.
    [
      ['serve', `hf:${repository}:Q8_0`, '--port', '0', '--port-health', '0'],
      1,
      /what came is not a GGUF file/,
    ],
  ])('%j ends with code %d and says why', async (args, code, message) => {
    const ended = await run(...args);
    expect(ended.code).toBe(code);
    expect(ended.stderr).toMatch(message);
    expect(ended.stderr).not.toContain('hunter2');
  });
});

describe('models', () => {
  test('pulls, lists, describes and deletes', async () => {
    const pulled = await run('models', 'pull', `hf:${repository}`);
    expect(pulled.code).toBe(0);
    const path = pulled.stdout.trim();
    expect(readFileSync(path).equals(model)).toBe(true);
    expect((await run('models', 'list')).stdout).toMatch(/tiny-Q4_K_M .*Hugging Face/);
    const { stdout } = await run('models', 'info', 'tiny-Q4_K_M', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ architecture: 'llama', trainedContext: 2048 });
    expect((await run('models', 'rm', 'tiny-Q4_K_M')).code).toBe(0);
    expect(existsSync(path)).toBe(false);
    expect(JSON.parse((await run('models', 'list', '--json')).stdout)).toEqual([]);
    expect((await run('models', 'rm', 'tiny-Q4_K_M')).code).toBe(2);
    expect((await run('models', 'fetch')).stderr).toContain('commands: list, pull, info, rm');
  });
});
