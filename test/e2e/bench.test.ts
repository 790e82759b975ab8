/**
 * The engine benchmark on a tiny model: it builds its reference, runs its contestants and counts tokens exactly. The
 * measured speeds mean nothing here.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeTinyModel } from '../../tools/fixtures/tiny-model.ts';

const run = promisify(execFile);
let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'lgi-bench-'));
  writeTinyModel(join(dir, 'tiny.gguf'));
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('the benchmark compares engine and server with the bare loop', async () => {
  const json = join(dir, 'result.json');
  const options = `--model ${dir}/tiny.gguf --streams 2 --rounds 1 --settle 0 --threads 1`;
  const { stdout } = await run(
    process.execPath,
    [
      '--import',
      'tsx',
      'tools/engine-bench/bench.ts',
      ...options.split(' '),
      ...['--only', 'limit,engine,http', '--json', json],
    ],
    { timeout: 120_000 },
  );
  expect(stdout).toMatch(/\| streams \| limit tok\/s \| engine ÷ limit \| HTTP ÷ limit \|/);
  const result = JSON.parse(readFileSync(json, 'utf8'));
  expect(JSON.stringify(result)).toContain('"completionTokenCount":96');
}, 150_000);
