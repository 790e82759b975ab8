import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** Many tests wait, and none measures time: four files at once, also on two cores. More need memory. */
const maxWorkers = 3;

/** Suites that hold a native engine or start servers: a process for each file. The limits are against a test that hangs. */
const native = { pool: 'forks', testTimeout: 300_000, hookTimeout: 300_000 } as const;

/** `npm run test:long`: the long cases, see test/support/long.ts, and those of two kernels. */
const isLong = process.env.LONG === '1';

/** The test files of a folder that take part in this run: in the long one those that have long cases. */
function filesIn(folder: string): string[] {
  return allFilesIn(folder).filter(
    (path) => !isLong || readFileSync(path, 'utf8').includes('support/long.ts'),
  );
}

function allFilesIn(folder: string): string[] {
  return readdirSync(join(import.meta.dirname, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => path.endsWith('.test.ts'));
}

/** Runs every process of a suite with one of ggml's builds of its CPU kernels, see cpu-variant.mjs. */
function withCpuVariant(variant: string) {
  const hook = new URL('./test/support/cpu-variant.mjs', import.meta.url);
  return { env: { TEST_CPU_VARIANT: variant, NODE_OPTIONS: `--import=${hook.href}` } };
}

/** `TEST_CPU_VARIANT=sse42 npm test` runs everything on those kernels. */
const cpuVariant = process.env.TEST_CPU_VARIANT;
const variant = cpuVariant ? withCpuVariant(cpuVariant) : {};

/** Kernels of processors without AVX-512, on which products round differently; the best of most desktops. */
const hasAvx2 =
  process.platform === 'linux' &&
  process.arch === 'x64' &&
  / avx2 /.test(readFileSync('/proc/cpuinfo', 'utf8'));
const roundingSensitive =
  /engine\/(embeddings|logprobs|equal-text|shapes|top-candidates)|e2e\/(openai-client|cpu-kernels|embeddings)/;
const sensitiveFiles =
  isLong && hasAvx2 && !cpuVariant
    ? ['test/engine', 'test/e2e'].flatMap(allFilesIn).filter((path) => roundingSensitive.test(path))
    : [];

const projects = [
  // Begins first: it takes longest where nothing is compiled yet.
  { ...native, name: 'native', include: filesIn('test/native'), testTimeout: 1_200_000 },
  { name: 'unit', include: filesIn('test/unit'), isolate: false, testTimeout: 60_000 },
  {
    name: 'http',
    include: filesIn('test/http'),
    setupFiles: ['test/support/share-validators.ts'],
    // All files of a worker share the gateway's modules and its compiled schemas.
    isolate: false,
    testTimeout: 30_000,
  },
  { ...native, ...variant, name: 'engine', include: filesIn('test/engine') },
  { ...native, ...variant, name: 'e2e', include: filesIn('test/e2e') },
  { ...native, ...withCpuVariant('haswell'), name: 'haswell', include: sensitiveFiles },
];

export default defineConfig({
  test: {
    maxWorkers,
    projects: projects
      .filter(({ include }) => include.length > 0)
      .map((test) => ({ test: { ...test, expect: { poll: { timeout: 20_000 } } } })),
  },
});
