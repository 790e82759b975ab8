import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { programVersion } from '../../src/core/package-info.ts';
import { type BrokenKind, brokenModel } from '../../tools/fixtures/broken-model.ts';
import { tinyVocabulary } from '../../tools/fixtures/tiny-vocabulary.ts';
import { type LogLine, runCli } from '../support/cli-process.ts';
import {
  startLoadingServer,
  startServer,
  temporaryFolder,
  tinyModelFile,
} from '../support/start-server.ts';
import { secrets } from '../support/test-keys.ts';

let modelPath: string;

beforeAll(() => {
  modelPath = tinyModelFile();
});

/** Serves on free ports unless something is wrong. */
function serve(path: string, ...flags: string[]) {
  const ports = ['--host', '127.0.0.1', '--port', '0', '--port-health', '0'];
  return runCli(['--model-path', path, '--gpu', 'off', '--no-auth-enabled', ...ports, ...flags]);
}

describe('the command line', () => {
  test('shows its help, on standard output, with exit code 0', async () => {
    const { code, stdout, stderr } = await runCli(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Usage: llama-gguf-inference/);
    expect(stdout).toContain('--model-path');
  });

  test('shows its version, with exit code 0', async () => {
    const expected = { code: 0, stdout: `${programVersion}\n`, stderr: '' };
    expect(await runCli(['--version'])).toEqual(expected);
  });

  test.each([
    ['an unknown flag', ['--modle-path', 'x'], /--modle-path.*--model-path/],
    ['a value that is none', ['--port', 'eighty'], /PORT.*"eighty"/],
    ['a command there is not', ['dance'], /unknown command "dance"/],
    ['a model beside a mock', ['--mock-backend', '--model-path', 'x'], /MODEL_PATH.*MOCK_BACKEND/],
  ])('exits with 2 and says why for %s', async (_what, args, reason) => {
    const { code, stdout, stderr } = await runCli(args, { env: { DATA_DIR: temporaryFolder() } });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(reason);
  });

  test('exits with 2 for a model file that does not exist, and names those beside it', async () => {
    const { code, stderr } = await serve(`${modelPath}.gone`);
    expect(code).toBe(2);
    expect(stderr).toContain(`model file ${modelPath}.gone does not exist`);
    expect(stderr).toContain('tiny.gguf');
  });

  test('exits with 2 for a draft model of another vocabulary, and says where they differ', async () => {
    const vocabulary = tinyVocabulary();
    const draft = tinyModelFile({
      vocabulary: { ...vocabulary, tokens: vocabulary.tokens.with(300, 'unlikely') },
    });
    const flags = ['--speculative', 'draft', '--draft-model-path'];
    const { code, stderr } = await serve(modelPath, ...flags, draft);
    expect(code).toBe(2);
    expect(stderr).toContain(`DRAFT_MODEL_PATH ${draft} has another vocabulary`);
    const missing = await serve(modelPath, ...flags, `${draft}.gone`);
    expect(missing.code).toBe(2);
    expect(missing.stderr).toContain(`DRAFT_MODEL_PATH: model file ${draft}.gone does not exist`);
  });
});

describe('a file that is no good', () => {
  const sentences: Readonly<Record<BrokenKind, RegExp>> = {
    empty: /^FILE is empty/,
    'bad-magic': /^FILE is not a GGUF file/,
    'future-version': /^FILE has GGUF version 99/,
    'truncated-header': /^FILE is truncated or corrupt: it claims \d+ elements/,
    'truncated-tensors': /^FILE is truncated: its header declares \d+ bytes, the file has \d+/,
    'absurd-counts': /^FILE is corrupt: .* impossible count 1152921504606846976$/,
    'absurd-string-length': /^FILE is corrupt: .* impossible count 4611686018427387904$/,
    'vocabulary-only': /^FILE holds a vocabulary only/,
    'not-text': /^FILE is the vision part of a multimodal model/,
    'unknown-architecture': /^FILE could not be loaded: .*no-such-architecture/,
    'missing-split-part': /^FILE is part of a split model, its part .*-00002-of-00002\.gguf/,
  };
  /** Only the loader itself knows whether it can run an architecture. */
  const foundWhileLoading: readonly BrokenKind[] = ['unknown-architecture'];

  test('is refused with exit code 1, each kind with its own sentence', async () => {
    const folder = temporaryFolder();
    const kinds = Object.entries(sentences) as [BrokenKind, RegExp][];
    const said = await Promise.all(
      kinds.map(async ([kind, sentence]) => {
        const path = brokenModel(join(folder, kind, 'model.gguf'), kind);
        const { code, stderr } = await serve(path);
        const { msg } = JSON.parse(stderr.trimEnd().split('\n').at(-1) ?? '') as LogLine;
        const sentenceGiven = msg.replace(path, 'FILE');
        expect.soft({ kind, code }).toEqual({ kind, code: 1 });
        expect.soft(sentenceGiven).toMatch(sentence);
        expect.soft(stderr.includes('"listening"')).toBe(foundWhileLoading.includes(kind));
        return sentenceGiven;
      }),
    );
    expect(new Set(said).size).toBe(kinds.length);
  });
});

test('a busy port ends the start with exit code 1 and names the port and its setting', async () => {
  const occupant = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void occupant.close());
  await once(occupant, 'listening');
  const { port } = occupant.address() as AddressInfo;
  for (const [flag, name] of [
    ['--port', 'PORT'],
    ['--port-health', 'PORT_HEALTH'],
  ] as const) {
    const { code, stderr } = await serve(modelPath, flag, String(port));
    expect(code).toBe(1);
    expect(stderr).toContain(`port ${port} on 127.0.0.1 is already in use`);
    expect(stderr).toContain(`set another ${name}`);
  }
});

describe('while the model is loading', () => {
  test('both ports answer, generation is refused with Retry-After, and then it is ready', async () => {
    const { server, finishLoading } = await startLoadingServer({ modelPath });
    const { url, healthUrl } = server;

    const [chat, models, ping, health, live, ready, root] = await Promise.all([
      server.chat({}),
      fetch(`${url}/v1/models`),
      fetch(`${url}/ping`),
      fetch(`${url}/health`),
      fetch(`${healthUrl}/live`),
      fetch(`${healthUrl}/ready`),
      fetch(healthUrl),
    ]);
    expect(server.hasLogged('ready')).toBe(false);

    expect(chat.status).toBe(503);
    expect(chat.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(await chat.json()).toMatchObject({ error: { code: 'model_loading' } });
    expect(models.status).toBe(503);
    expect([ping.status, health.status, live.status, root.status]).toEqual([200, 200, 200, 200]);
    expect(await health.json()).toMatchObject({ code: 503, backend: { status: 'loading' } });
    expect(ready.status).toBe(503);

    finishLoading();
    expect(await server.line('ready')).toMatchObject({
      address: url,
      model: 'tiny',
      backend: 'cpu',
      slots: 4,
      context: 2048,
    });
    expect((await fetch(`${healthUrl}/ready`)).status).toBe(200);
    expect(await server.health()).toMatchObject({ code: 200, backend: { status: 'ok' } });
    expect((await server.chat({ max_tokens: 1 })).status).toBe(200);
  });

  test('the health port answers /ping with 204 where readiness is asked for', async () => {
    const { server, finishLoading } = await startLoadingServer({
      modelPath,
      env: { HEALTH_READINESS: 'true' },
    });
    expect((await fetch(`${server.healthUrl}/ping`)).status).toBe(204);
    expect(server.hasLogged('ready')).toBe(false);
    finishLoading();
    await server.line('ready');
    expect((await fetch(`${server.healthUrl}/ping`)).status).toBe(200);
  });
});

test('settings come from flags, then the environment', async () => {
  const server = await startServer({
    modelPath,
    flags: ['--parallel', '3'],
    env: { PARALLEL: '2', CTX: '300', MODEL_ALIAS: 'by/another-name' },
  });
  expect(await server.line('ready')).toMatchObject({
    slots: 3,
    context: 300,
    model: 'by/another-name',
  });
});

describe('a start', () => {
  test('says which settings apply, what is loaded and where, and no secret', async () => {
    const dataDir = temporaryFolder();
    writeFileSync(join(dataDir, 'api_keys.txt'), `alice:${secrets.alice}\n`);
    const server = await startServer({
      modelPath,
      flags: ['--auth-enabled', '--max-queue-size', '7', '--ctx', '1024', '--ngl', '0'],
      env: { DATA_DIR: dataDir, WORKER_TYPE: 'chat' },
    });
    expect(await server.line('settings')).toMatchObject({
      models: join(dataDir, 'models'),
      keys: join(dataDir, 'api_keys.txt'),
      logs: join(dataDir, 'logs'),
      worker: 'llama-chat',
      authentication: true,
      ngl: 0,
      ctx: 1024,
      parallel: 'auto',
      requestsPerMinute: 100,
      maxQueueSize: 7,
      requestTimeoutMs: 300_000,
      maxBodyBytes: 10_485_760,
    });
    expect(await server.line('loading model')).toMatchObject({
      path: modelPath,
      sizeBytes: statSync(modelPath).size,
    });
    expect(await server.line('model loaded on the CPU')).toMatchObject({ backend: 'cpu' });
    expect(server.stderr).not.toContain(secrets.alice);
  });

  test('warns of a setting that has no effect without authentication', async () => {
    const server = await startServer({ modelPath, flags: ['--metrics-auth-enabled'] });
    await server.line('METRICS_AUTH_ENABLED has no effect while authentication is off');
  });

  test('logs no requests where it is told so', async () => {
    const quiet = await startServer({ modelPath, flags: ['--no-access-log'] });
    expect((await quiet.chat({ max_tokens: 1 })).status).toBe(200);
    expect(quiet.hasLogged('request completed')).toBe(false);
  });
});
