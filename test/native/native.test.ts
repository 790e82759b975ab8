import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

const run = promisify(execFile);
const long = process.env.LONG === '1';
const seed = process.env.TEST_SEED ?? String(Date.now() % 100_000);

describe('the C++ files that know neither llama.cpp nor Node', () => {
  test.each(['address', 'thread'])(
    `pass their tests under the %s sanitizer (seed ${seed})`,
    async (sanitizer) => {
      const build = `build/native-test-${sanitizer}`;
      await run('cmake', ['-S', 'test/native', '-B', build, `-DSANITIZE=${sanitizer}`]);
      await run('cmake', ['--build', build, '--parallel', '2'], { maxBuffer: 1e8 });
      const { stdout } = await run(`${build}/native_tests`, [], {
        env: {
          ...process.env,
          NATIVE_TEST_SEED: seed,
          NATIVE_TEST_STEPS: long ? '100000' : '5000',
        },
      });
      expect(stdout).toContain('0 failed');
    },
  );
});
