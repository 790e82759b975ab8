/** `bench` as it is built, against a real server with a tiny model. Its speeds mean nothing here. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { BenchRecord } from '../../src/bench/record.ts';
import { CliProcess, runCli } from '../support/cli-process.ts';
import {
  startSharedServer,
  type TestServer,
  temporaryFolder,
  tinyModelFile,
} from '../support/start-server.ts';

const maxTokens = 6;
let server: TestServer;
let folder: string;

beforeAll(async () => {
  server = await startSharedServer({ modelPath: tinyModelFile(), flags: ['--ctx', '1024'] });
  folder = temporaryFolder();
});

function bench(flags: string, env: Record<string, string> = {}) {
  const size = ['--max-tokens', String(maxTokens), '--ignore-eos'];
  return runCli(['bench', '--url', server.url, ...size, ...flags.split(' ').filter(Boolean)], {
    env,
  });
}

async function benchJson(flags: string): Promise<BenchRecord> {
  const { code, stdout, stderr } = await bench(`--output json ${flags}`);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as BenchRecord;
}

describe('a workload is measured with exact token counts', () => {
  test.each([
    ['the fixed prompt', '--requests 3', 3],
    ['unique prompts', '--requests 24 --concurrency 12 --prompt-tokens 60', 24],
    [
      'a shared prefix',
      '--requests 4 --concurrency 2 --workload shared-prefix --prefix-tokens 200 --prompt-tokens 40',
      4,
    ],
    [
      'conversations',
      '--requests 6 --workload multi-turn --turns 3 --prompt-tokens 40 --concurrency 2',
      6,
    ],
    ['arrivals at random', '--requests 5 --rate 50 --prompt-tokens 30', 5],
  ])('%s', async (_what, flags, requestCount) => {
    const { inference, gateway, targets } = await benchJson(flags);
    expect(inference).toMatchObject({
      requests_total: requestCount,
      requests_success: requestCount,
      requests_failed: 0,
      completion_tokens: requestCount * maxTokens,
      completion_tokens_per_request: { min: maxTokens, max: maxTokens },
      tokens_counted_by: 'usage',
      finish_reasons: { length: requestCount },
      ttft: { count: requestCount },
      errors: [],
    });
    const { mean, count } = inference?.prompt_tokens_per_request ?? {};
    expect(inference?.prompt_tokens).toBe(Math.round((mean ?? 0) * (count ?? 0)));
    expect(inference?.prompt_tokens).toBeGreaterThan(requestCount * 10);
    expect(gateway?.ping).toMatchObject({ count: requestCount, errors: [] });
    expect(targets[0]).toMatchObject({ model: 'tiny', notes: [] });
  });

  test('about as long as asked for, and longer with each turn', async () => {
    const { runs } = await benchJson('--requests 12 --prompt-tokens 60,240');
    for (const [index, wanted] of [60, 240].entries()) {
      const mean = runs[index]?.prompt_tokens_per_request.mean ?? 0;
      expect(Math.abs(mean / wanted - 1)).toBeLessThan(0.25);
    }
    const conversation = await benchJson(
      '--requests 3 --workload multi-turn --turns 3 --prompt-tokens 40',
    );
    const { min, max } = conversation.inference?.prompt_tokens_per_request ?? {};
    expect(max ?? 0).toBeGreaterThan(2 * (min ?? 0));
    expect(conversation.inference?.ttft_by_turn.map(({ turn }) => turn)).toEqual([1, 2, 3]);
  });
});

test('two servers are measured in turns, and their ratios reported', async () => {
  const { runs, comparison } = await benchJson(
    `--peer ${server.url}/v1 --requests 2 --concurrency 1,2 --prompt-tokens 30`,
  );
  expect(
    runs.map(({ target, concurrency, requests_total }) => [target, concurrency, requests_total]),
  ).toEqual([
    ['server', 1, 6],
    ['server', 2, 6],
    ['peer', 1, 6],
    ['peer', 2, 6],
  ]);
  expect(comparison).toHaveLength(2);
  for (const { server_by_peer } of comparison ?? []) {
    expect(server_by_peer.throughput).toBeGreaterThan(0);
  }
});

test('the report goes to files of several forms, and its text to standard output', async () => {
  const [json, html] = ['report.json', 'report.html'].map((name) => join(folder, name));
  const { code, stdout, stderr } = await bench(
    `--requests 2 --output-file ${json} --output-file ${html}`,
    { BENCH_API_KEY: 'sk-secret' },
  );
  expect(code).toBe(0);
  expect(stdout).toMatch(/^=== Gateway Overhead ===\n\/ping latency: +[\d.]+ms \(p50\)/);
  expect(stdout).toContain('=== Inference Performance (concurrency=1, requests=2) ===\n');
  expect(stderr).toMatch(/^ +\d+% server, concurrency=1$/m);
  const texts = [json, html].map((path) => readFileSync(path ?? '', 'utf8'));
  expect(texts[1]).toMatch(/^<!doctype html>/);
  expect(`${stdout}${stderr}${texts.join('')}`).not.toContain('sk-secret');

  // The same again, which is not a thousand times slower.
  const again = await bench(`--requests 2 --baseline ${json} --fail-above 100000 --output text`);
  expect(again.code).toBe(0);
  expect(again.stdout).toContain(`=== Against ${json} ===`);
  const strict = await bench(`--requests 2 --baseline ${impossible(json)} --fail-above 5`);
  expect(strict.code).toBe(1);
  expect(strict.stderr).toMatch(/^bench: fixed, concurrency 1: .* worse than the baseline, 5% is/m);
});

/** The report with a throughput that nothing reaches. */
function impossible(path: string | undefined): string {
  const record = JSON.parse(readFileSync(path ?? '', 'utf8')) as {
    runs: { throughput_tokens_per_sec: number }[];
  };
  for (const run of record.runs) run.throughput_tokens_per_sec = 1e12;
  const changed = join(folder, 'impossible.json');
  writeFileSync(changed, JSON.stringify(record));
  return changed;
}

describe('the exit code', () => {
  test('is 1 when nobody is there, with one clear line', async () => {
    const vacant = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => vacant.once('listening', resolve));
    const { port } = vacant.address() as AddressInfo;
    await new Promise((resolve) => vacant.close(resolve));
    for (const more of [[], ['--gateway-only'], ['--output', 'json']]) {
      const { code, stdout, stderr } = await runCli([
        ...['bench', '--url', `http://127.0.0.1:${port}`],
        ...more,
      ]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toContain(
        `http://127.0.0.1:${port} is not reachable: connection refused, is the server running?`,
      );
    }
  });

  test('is 1 when requests fail, and 0 when as many may', async () => {
    // The second length is more than the context of 1024.
    const sweep = '--requests 2 --warmup 0 --prompt-tokens 40,2000 --output json';
    const failed = await bench(sweep);
    expect(failed.code).toBe(1);
    expect(failed.stderr).toBe(
      'bench: server, concurrency=1, 2000 tokens in: 2 of 2 requests failed ' +
        '(2 x status 400 context_length_exceeded)\n',
    );
    const { runs } = JSON.parse(failed.stdout) as BenchRecord;
    expect(runs.map(({ requests_failed }) => requests_failed)).toEqual([0, 2]);
    const tolerant = await bench(`${sweep} --max-error-rate 1`);
    expect({ code: tolerant.code, stderr: tolerant.stderr }).toEqual({ code: 0, stderr: '' });
  });

  test('is 2 for wrong flags', async () => {
    const { code, stdout, stderr } = await runCli(['bench', '--concurrency', 'many']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/--url is required/);
    expect(stderr).toMatch(/--concurrency must be/);
    const nowhere = join(folder, 'none', 'report.json');
    const unwritable = await bench(`--output-file ${nowhere}`);
    expect(unwritable.code).toBe(2);
    expect(unwritable.stderr).toContain(`--output-file ${nowhere} cannot be written`);
  });

  test('is 130 when it was interrupted, after the report of what was done', async () => {
    const path = join(folder, 'interrupted.json');
    const cli = new CliProcess([
      ...['bench', '--url', server.url, '--duration', '60', '--max-tokens', '4'],
      ...['--output-file', path],
    ]);
    await untilStderr(cli, 'server, concurrency=1');
    cli.child.kill('SIGINT');
    expect(await cli.exited).toEqual({ code: 130, signal: null });
    expect(cli.stdout).toContain('Interrupted: this is what was done until then.');
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ interrupted: true });
  });

  test('is 0 for its help', async () => {
    const { code, stdout } = await runCli(['bench', '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Usage: llama-gguf-inference bench --url URL/);
  });
});

test('--gateway-only generates nothing', async () => {
  const { code, stdout } = await bench('--gateway-only --output json --requests 3');
  const record = JSON.parse(stdout) as BenchRecord;
  expect(code).toBe(0);
  expect(record.gateway?.health).toMatchObject({ count: 3, errors: [] });
  expect(record).not.toHaveProperty('inference');
});

async function untilStderr(cli: CliProcess, text: string): Promise<void> {
  while (!cli.stderr.includes(text)) await new Promise((resolve) => setTimeout(resolve, 10));
}
