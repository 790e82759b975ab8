import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** No test measures time, so two files may share a machine; more than four processes with a model need memory. */
const maxWorkers = Math.max(2, Math.min(4, availableParallelism()));

/** Suites that hold a native engine or start servers: a process for each file. */
const native = { pool: 'forks', testTimeout: 120_000, hookTimeout: 120_000 } as const;

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
const roundingSensitive = [
  'test/engine/{embeddings,logprobs,equal-text,shapes,top-candidates}.test.ts',
  'test/e2e/{openai-client,cpu-kernels,embeddings}.test.ts',
];

export default defineConfig({
  test: {
    maxWorkers,
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        test: {
          name: 'http',
          include: ['test/http/**/*.test.ts'],
          setupFiles: ['test/support/share-validators.ts'],
          // All files of a worker share the gateway's modules and its compiled schemas.
          isolate: false,
          testTimeout: 30_000,
        },
      },
      {
        test: {
          ...native,
          name: 'native',
          include: ['test/native/**/*.test.ts'],
          testTimeout: 600_000,
        },
      },
      { test: { ...native, ...variant, name: 'engine', include: ['test/engine/**/*.test.ts'] } },
      { test: { ...native, ...variant, name: 'e2e', include: ['test/e2e/**/*.test.ts'] } },
      ...(hasAvx2 && !cpuVariant
        ? [
            {
              test: {
                ...native,
                ...withCpuVariant('haswell'),
                name: 'haswell',
                include: roundingSensitive,
              },
            },
          ]
        : []),
    ],
  },
});
