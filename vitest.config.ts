import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** No test measures time, so two files may share a machine; more than four processes with a model need memory. */
const maxWorkers = Math.max(2, Math.min(4, availableParallelism()));

/** Suites that hold a native engine or start servers: a process for each file. */
const native = { pool: 'forks', testTimeout: 120_000, hookTimeout: 120_000 } as const;

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
      { test: { ...native, name: 'engine', include: ['test/engine/**/*.test.ts'] } },
      { test: { ...native, name: 'e2e', include: ['test/e2e/**/*.test.ts'] } },
    ],
  },
});
