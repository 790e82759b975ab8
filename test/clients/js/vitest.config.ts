import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

const folder = import.meta.dirname;

/** Runs on the Node of this folder's package.json: see ../run.mjs. */
export default defineConfig({
  root: join(folder, '../../..'),
  // The same tests as in `npm test`, on the newest client.
  resolve: {
    alias: [{ find: /^openai$/, replacement: join(folder, 'node_modules/openai/index.mjs') }],
  },
  test: {
    name: 'clients-js',
    include: [
      'test/clients/js/*.test.ts',
      'test/e2e/client-helpers.test.ts',
      'test/e2e/openai-client.test.ts',
    ],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 20_000 } },
  },
});
