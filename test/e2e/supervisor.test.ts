import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { runCli } from '../support/cli-process.ts';
import { readSeries } from '../support/read-metrics.ts';
import {
  RunningStream,
  startServer,
  type TestServer,
  temporaryFolder,
  tinyModelFile,
} from '../support/start-server.ts';

const contextLength = 32_768;
const streamCount = 16;
const endless = { stream: true, ignore_eos: true, max_tokens: contextLength - 100 };

/** Waiting for a process that starts again, on a machine that has other things to do. */
const patience = { timeout: 40_000 * Number(process.env.TEST_PATIENCE || 1), interval: 50 };

let modelPath: string;

beforeAll(() => {
  modelPath = tinyModelFile({ contextLength, layerCount: 1 });
});

function serve(...flags: string[]): Promise<TestServer> {
  return startServer({ modelPath, flags: ['--ctx', String(contextLength), ...flags] });
}

/** The process that serves: the newest child of the supervisor. */
function gatewayPid(server: TestServer): number {
  return Number(server.lines.findLast(({ msg }) => msg === 'gateway started')?.pid);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function countLines(server: TestServer, message: string): number {
  return server.lines.filter(({ msg }) => msg === message).length;
}

async function startStream(server: TestServer, fields: object = endless): Promise<RunningStream> {
  const stream = new RunningStream(await server.chat(fields));
  await stream.started;
  return stream;
}

/** Four requests that come to their end; the tokens their replies say they had. */
async function completeSome(server: TestServer): Promise<number> {
  const replies = await Promise.all(
    [5, 6, 7, 8].map((maxTokens) => server.chat({ max_tokens: maxTokens })),
  );
  const bodies = await Promise.all(replies.map((reply) => reply.json()));
  return (bodies as { readonly usage: { readonly completion_tokens: number } }[]).reduce(
    (sum, { usage }) => sum + usage.completion_tokens,
    0,
  );
}

/** Asks the health port without a pause until the test is over. */
function watchHealth({ healthUrl }: TestServer) {
  const seen = { statuses: new Set<number>(), states: new Set<string>(), failures: 0, count: 0 };
  let over = false;
  const ask = async () => {
    while (!over) {
      try {
        const [any, live] = await Promise.all([fetch(healthUrl), fetch(`${healthUrl}/live`)]);
        seen.statuses.add(any.status);
        seen.states.add(await live.text());
        seen.count += 1;
      } catch {
        seen.failures += 1;
      }
    }
  };
  const asking = ask();
  const end = async () => {
    over = true;
    await asking;
    return seen;
  };
  onTestFinished(async () => void (await end()));
  return { end };
}

describe('a gateway process that dies under 16 streams', () => {
  test.each([
    ['SIGKILL', 137, /memory ran out/],
    ['SIGSEGV', 139, /native code/],
    ['SIGABRT', 134, /llama\.cpp gave up/],
  ] as const)(
    'by %s is started again on the same port; health is answered throughout, and the ledger has what was told',
    async (signal, status, reason) => {
      const dataDir = temporaryFolder();
      const server = await startServer({
        modelPath,
        flags: ['--ctx', '2048', '--parallel', String(streamCount)],
        env: { DATA_DIR: dataDir },
      });
      const told = await completeSome(server);
      const body = { ...endless, max_tokens: 1900 };
      const streams = await Promise.all(
        Array.from({ length: streamCount }, () => startStream(server, body)),
      );
      const health = watchHealth(server);
      process.kill(gatewayPid(server), signal);
      await Promise.allSettled(streams.map((stream) => stream.ended));
      expect(streams.some(({ isDone }) => isDone)).toBe(false);

      expect(await server.line('the gateway crashed')).toMatchObject({
        level: 'error',
        status,
        reason: expect.stringMatching(reason),
      });
      await expect.poll(() => countLines(server, 'ready'), patience).toBe(2);
      const toldAfter = await completeSome(server);
      const scrape = await fetch(`${server.url}/metrics?format=prometheus`);
      expect(readSeries(await scrape.text()).value('gateway_restarts_total')).toBe(1);

      const { statuses, states, failures, count } = await health.end();
      expect({ statuses: [...statuses], failures }).toEqual({ statuses: [200], failures: 0 });
      // Half a second of `crashed` may pass between two questions.
      expect(new Set([...states, 'crashed'])).toEqual(new Set(['ready', 'loading', 'crashed']));
      expect(count).toBeGreaterThan(10);

      // Streams that died told nobody what they used.
      const { stdout } = await runCli(['usage', '--json'], { env: { DATA_DIR: dataDir } });
      expect(JSON.parse(stdout)).toMatchObject({
        total: { requests: 8, errors: 0, completion_tokens: told + toldAfter },
      });
    },
  );

  test('again and again ends the supervisor with exit code 1', async () => {
    const server = await serve('--restart-limit', '1');
    process.kill(gatewayPid(server), 'SIGKILL');
    await expect.poll(() => countLines(server, 'ready'), patience).toBe(2);
    process.kill(gatewayPid(server), 'SIGKILL');
    expect(await server.exited).toEqual({ code: 1, signal: null });
    expect(server.hasLogged('the gateway keeps crashing, giving up')).toBe(true);
  });

  test('because it hangs is killed and started again', async () => {
    const server = await serve('--watchdog-timeout', '5');
    const pid = gatewayPid(server);
    process.kill(pid, 'SIGSTOP');
    await server.line('the gateway is stuck, killing it');
    await expect.poll(() => countLines(server, 'ready'), patience).toBe(2);
    expect(isAlive(pid)).toBe(false);
    expect(await server.line('the gateway crashed')).toMatchObject({
      reason: 'it was stuck and has been killed',
    });
  });
});

describe('nothing is left of it', () => {
  test('once a SIGTERM has drained it', async () => {
    const server = await serve();
    const stream = await startStream(server, { ...endless, max_tokens: 1000 });
    server.child.kill('SIGTERM');
    await server.line('stopping', { signal: 'SIGTERM' });
    expect(await (await fetch(`${server.healthUrl}/ready`)).text()).toBe('draining');
    await stream.ended;
    expect(stream.finishReason).toBe('length');
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(isAlive(gatewayPid(server))).toBe(false);
  });

  test('when a SIGTERM reaches the whole process group, which still drains', async () => {
    const server = await serve();
    const stream = await startStream(server, { ...endless, max_tokens: 1000 });
    process.kill(-Number(server.child.pid), 'SIGTERM');
    await stream.ended;
    expect(stream.finishReason).toBe('length');
    expect(await server.exited).toEqual({ code: 0, signal: null });
  });

  test('when the supervisor itself is killed: the gateway drains and ends', async () => {
    const server = await serve();
    const pid = gatewayPid(server);
    const stream = await startStream(server, { ...endless, max_tokens: 1000 });
    server.child.kill('SIGKILL');
    await server.line('stopping', { reason: 'the supervisor is gone' });
    await stream.ended;
    expect(stream.finishReason).toBe('length');
    // Its end of standard error is the last one.
    expect(await server.exited).toEqual({ code: null, signal: 'SIGKILL' });
    await expect.poll(() => isAlive(pid), patience).toBe(false);
    expect(server.hasLogged('stopped')).toBe(true);
  });
});

test('signals that are about files and keys stop neither process', async () => {
  const server = await serve();
  const pid = gatewayPid(server);
  server.child.kill('SIGHUP');
  server.child.kill('SIGUSR2');
  expect((await server.chat({ max_tokens: 2 })).status).toBe(200);
  expect(isAlive(pid)).toBe(true);
  expect(countLines(server, 'gateway started')).toBe(1);
});

test('SUPERVISE=false serves in one process', async () => {
  const server = await serve('--no-supervise');
  expect(server.hasLogged('gateway started')).toBe(false);
  expect((await fetch(`${server.healthUrl}/ready`)).status).toBe(200);
  expect((await server.chat({ max_tokens: 2 })).status).toBe(200);
  server.child.kill('SIGTERM');
  expect(await server.exited).toEqual({ code: 0, signal: null });
});
