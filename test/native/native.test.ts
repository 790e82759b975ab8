import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { testSeed } from '../../tools/fixtures/seeded-random.ts';
import { isLong } from '../support/long.ts';

const run = promisify(execFile);
const seed = String(testSeed());

describe('the C++ files that know neither llama.cpp nor Node', () => {
  test.each(['address', 'thread'])(
    `pass their tests under the %s sanitizer (seed ${seed})`,
    async (sanitizer) => {
      const build = `build/native-test-${sanitizer}`;
      await run('cmake', ['-S', 'test/native', '-B', build, `-DSANITIZE=${sanitizer}`]);
      const jobs = ['--parallel', String(availableParallelism())];
      await run('cmake', ['--build', build, ...jobs], { maxBuffer: 1e8 });
      const tests = run(`${build}/native_tests`, [], {
        env: {
          ...process.env,
          NATIVE_TEST_SEED: seed,
          NATIVE_TEST_STEPS: isLong ? '25000' : '2000',
        },
      });
      const { code = 0, stdout, stderr } = await tests.catch((error) => error);
      expect(code, `${stdout}${stderr}`).toBe(0);
      expect(stdout).toContain('0 failed');
    },
  );
});
