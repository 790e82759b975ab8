/**
 * What happens to an engine that is closed, forgotten or left behind. Each case is a script that runs in
 * a process of its own on the built files: a crash is an exit code, a leaked thread or handle a hang.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyModel } from '../../tools/fixtures/tiny-model.ts';
import { isLong } from '../support/long.ts';

let dir: string;
let modelPath: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'lgi-lifetime-'));
  modelPath = join(dir, 'tiny.gguf');
  // The CPU kernels are part of it: what they refer to must outlive whoever installed them.
  writeTinyModel(modelPath, { contextLength: 4096, weightType: 'Q8_0' });
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** More than one where what can go wrong is a race. */
const attempts = [1, 2, 3, 4, 5];

interface Ended {
  /** Exit code, or the signal that killed it. */
  readonly status: number | string;
  readonly lines: readonly string[];
}

/** A script that takes longer hangs; the longest take a second. */
const hangMs = 110_000;

function runScript(name: string, ...args: string[]): Promise<Ended> {
  const script = fileURLToPath(new URL(`lifetime/${name}.mjs`, import.meta.url));
  const env = { ...process.env, MODEL_PATH: modelPath };
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], { env, timeout: hangMs }, (error, stdout) => {
      const status = error === null ? 0 : (error.signal ?? Number(error.code));
      resolve({ status, lines: stdout.trimEnd().split('\n') });
    });
  });
}

describe('closing an engine', () => {
  test('while decoding, and twice, ends every sequence as cancelled and refuses new ones', async () => {
    expect(await runScript('close-while-decoding')).toEqual({
      status: 0,
      lines: ['cancelled cancelled cancelled', 'true', 'shutting_down'],
    });
  });

  test('does not disturb another engine in the process', async () => {
    expect(await runScript('two-engines')).toEqual({ status: 0, lines: ['true', 'true', 'true'] });
  });
});

describe('a process that exits', () => {
  test.each(attempts.slice(0, isLong ? 3 : 1))(
    'while decoding keeps its exit code (attempt %i)',
    async () => {
      expect(await runScript('exit-while-decoding')).toEqual({ status: 7, lines: ['decoding'] });
    },
  );

  test('by an exception while decoding does not crash', async () => {
    const { status, lines } = await runScript('exit-while-decoding', 'throw');
    expect(lines).toEqual(['decoding']);
    expect(status).toBe(1);
  });

  test('waits for a running sequence, not for an idle engine', async () => {
    expect(await runScript('idle-engine')).toEqual({ status: 0, lines: ['finished 50'] });
  });
});

describe('an engine that is forgotten', () => {
  test('is collected, and its threads with it', async () => {
    const { status, lines } = await runScript('forget-the-engine');
    expect(status).toBe(0);
    expect(lines).toEqual(['collected 3, threads left 0']);
  });
});

describe('an engine that only pending calls hold', () => {
  test('starts, generates and closes although garbage is collected all the time', async () => {
    expect(await runScript('collect-while-busy')).toEqual({ status: 0, lines: ['100', 'closed'] });
  });
});

describe('a worker thread', () => {
  test('runs an engine and closes it', async () => {
    expect(await runScript('worker', 'close')).toEqual({
      status: 0,
      lines: ['decoding', 'cancelled', 'worker gone'],
    });
  });

  test('may follow another, which has ended', async () => {
    expect(await runScript('worker', 'close', 'again')).toEqual({
      status: 0,
      lines: ['decoding', 'cancelled', 'worker gone', 'decoding', 'cancelled', 'worker gone'],
    });
  });

  test.each(['exit', 'terminate'])('may %s while decoding', async (how) => {
    for (let attempt = 0; attempt < (isLong ? 3 : 1); attempt += 1) {
      expect(await runScript('worker', how)).toEqual({
        status: 0,
        lines: ['decoding', 'worker gone'],
      });
    }
  });
});

describe('an engine that embeds', () => {
  test('is closed with its stream and its inputs under way', async () => {
    expect(await runScript('embed', 'close')).toEqual({
      status: 0,
      lines: ['embedding', 'shutting_down'],
    });
  });

  test.each(attempts.slice(0, isLong ? 3 : 1))(
    'keeps the exit code of its process (attempt %i)',
    async () => {
      expect(await runScript('embed', 'exit')).toEqual({ status: 7, lines: ['embedding'] });
    },
  );

  test('ends in order in a worker thread', async () => {
    expect(await runScript('embed', 'worker-close')).toEqual({
      status: 0,
      lines: ['embedding', 'shutting_down', 'worker gone'],
    });
  });

  test('may be left behind by a worker thread', async () => {
    expect(await runScript('embed', 'worker-exit')).toEqual({
      status: 0,
      lines: ['embedding', 'worker gone'],
    });
  });

  test('is collected, and keeps the process running only while it is busy', async () => {
    expect(await runScript('idle-embedder')).toEqual({
      status: 0,
      lines: ['threads left 0', 'embedded 200'],
    });
  });
});
