import { execFile, spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { testSeed } from '../../tools/fixtures/seeded-random.ts';
import { isLong } from '../support/long.ts';

const run = promisify(execFile);
const seed = String(testSeed());
const jobs = ['--parallel', String(availableParallelism())];

const canEmulateArm = ['aarch64-linux-gnu-g++', 'qemu-aarch64'].every(
  (program) => spawnSync(program, ['--version']).status === 0,
);

describe('the C++ files that know neither llama.cpp nor Node', () => {
  test.each(['address', 'thread'])(
    `pass their tests under the %s sanitizer (seed ${seed})`,
    async (sanitizer) => {
      const build = `build/native-test-${sanitizer}`;
      await run('cmake', ['-S', 'test/native', '-B', build, `-DSANITIZE=${sanitizer}`]);
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

  // On a machine with NEON the other tests cover it.
  test.runIf(canEmulateArm)('compute the same with NEON, emulated', async () => {
    const build = 'build/native-test-arm';
    const forArm = [
      ...['-DCMAKE_SYSTEM_NAME=Linux', '-DCMAKE_SYSTEM_PROCESSOR=aarch64'],
      ...['-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++', '-DCMAKE_EXE_LINKER_FLAGS=-static'],
    ];
    await run('cmake', ['-S', 'test/native', '-B', build, ...forArm]);
    const target = ['--target', 'kernel_tests'];
    await run('cmake', ['--build', build, ...target, ...jobs], { maxBuffer: 1e8 });
    const { stdout } = await run('qemu-aarch64', [`${build}/kernel_tests`]);
    expect(stdout).toContain('0 failed');
  });
});
