import { defineConfig } from 'vitest/config';

/** Suites that hold a native engine: one process for each file, one at a time. */
const native = { pool: 'forks', maxWorkers: 1, fileParallelism: false } as const;

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      { test: { name: 'http', include: ['test/http/**/*.test.ts'] } },
      {
        test: {
          ...native,
          name: 'native',
          include: ['test/native/**/*.test.ts'],
          testTimeout: 300_000,
        },
      },
      {
        test: {
          ...native,
          name: 'engine',
          include: ['test/engine/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          ...native,
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
