import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** Runs on the Node of this folder's package.json: see ../run.mjs. */
export default defineConfig({
  root: join(import.meta.dirname, '../../..'),
  test: {
    name: 'clients-agents',
    include: ['test/clients/agents/*.test.ts'],
    pool: 'forks',
    // An agent is a large program that waits for a model.
    maxWorkers: 1,
    testTimeout: 300_000,
    hookTimeout: 120_000,
  },
});
