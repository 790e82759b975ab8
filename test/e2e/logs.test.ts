import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type LogLine, runCli } from '../support/cli-process.ts';
import {
  startSharedServer,
  type TestServer,
  temporaryFolder,
  tinyModelFile,
} from '../support/start-server.ts';

const patience = { timeout: 20_000 * Number(process.env.TEST_PATIENCE || 1) };

function linesOf(path: string): LogLine[] {
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

describe('a server with a folder for logs', () => {
  const logDir = temporaryFolder();
  const accessPath = join(logDir, 'api_access.log');
  let server: TestServer;

  beforeAll(async () => {
    server = await startSharedServer({
      modelPath: tinyModelFile(),
      env: { LOG_DIR: logDir, WORKER_TYPE: 'test', INSTANCE_ID: 'one' },
    });
    await (await server.chat({ max_tokens: 3, ignore_eos: true }, { requestId: 'first' })).text();
    await server.line('request completed', { requestId: 'first' });
  });

  test('keeps the start, what comes after it, and what the supervisor says apart', async () => {
    const boot = readFileSync(join(logDir, '_boot', 'latest.txt'), 'utf8').trim();
    const running = readFileSync(join(logDir, 'llama-test', 'latest.txt'), 'utf8').trim();
    const messages = (path: string) => linesOf(path).map(({ msg }) => msg);
    expect(messages(boot)).toEqual(expect.arrayContaining(['listening', 'ready']));
    await expect.poll(() => messages(running), patience).toEqual(['request completed']);
    const supervisor = readdirSync(dirname(running)).find((name) =>
      name.includes('_supervisor_one'),
    );
    expect(messages(join(dirname(running), supervisor ?? ''))).toEqual(['gateway started']);
  });

  test('has requests in the access log, and goes on in a new file after SIGUSR2', async () => {
    await expect
      .poll(() => linesOf(accessPath), patience)
      .toMatchObject([
        {
          method: 'POST',
          path: '/v1/chat/completions',
          status: 200,
          requestId: 'first',
        },
      ]);
    renameSync(accessPath, `${accessPath}.moved`);
    server.child.kill('SIGUSR2');
    await expect.poll(() => existsSync(accessPath), patience).toBe(true);
    await server.chat({ temperature: -9 }, { requestId: 'second' });
    await expect
      .poll(() => linesOf(accessPath), patience)
      .toMatchObject([{ status: 400, code: 'invalid_value', requestId: 'second' }]);
    expect(linesOf(`${accessPath}.moved`)).toHaveLength(1);
  });

  test('is described by diagnostics from beside it', async () => {
    const folder = temporaryFolder();
    const { port, healthPort } = await server.line('listening');
    const { code, stdout, stderr } = await runCli(
      ['diagnostics', folder, '--port', String(port), '--port-health', String(healthPort)],
      {
        env: {
          LOG_DIR: logDir,
          WORKER_TYPE: 'test',
          INSTANCE_ID: 'one',
          HF_TOKEN: 'hf_notReal123',
        },
      },
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const archive = stdout.trim();
    expect(existsSync(archive)).toBe(true);
    const read = (name: string) =>
      readFileSync(join(archive.slice(0, -'.tar.gz'.length), name), 'utf8');
    expect(read('health_status.txt')).toContain(`:${healthPort}/ready: 200\nready`);
    expect(read('health_status.txt')).toContain('"requests_total": 1');
    expect(read('logs/boot.log')).toContain('"msg":"ready"');
    expect(read('logs/api_access.log')).toContain('second');
    expect(read('environment.txt')).not.toContain('HF_TOKEN');
  });
});

test('a server whose log folder cannot be made says so once and serves', async () => {
  const server = await startSharedServer({
    modelPath: tinyModelFile(),
    env: { LOG_DIR: '/proc/no-such-place' },
  });
  const warnings = server.lines.filter(({ msg }) => msg.startsWith('log files cannot be written'));
  expect(warnings).toHaveLength(1);
  expect((await server.chat({ max_tokens: 1 })).status).toBe(200);
});
