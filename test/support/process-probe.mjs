/**
 * Preloaded into a server (`node --import`): answers questions about its own process, over the IPC
 * channel, that nobody can answer from outside. See `start-server.ts` for the other end.
 */
import { readdirSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

// node-llama-cpp forks helpers that inherit the preload; they are not asked anything.
if (isMainThread && process.argv[1]?.endsWith('cli.js') && process.send !== undefined) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();

  const answers = {
    'reset-delay': () => {
      delay.reset();
      return {};
    },
    delay: () => ({
      count: delay.count,
      p50Ms: delay.percentile(50) / 1e6,
      p99Ms: delay.percentile(99) / 1e6,
      maxMs: delay.max / 1e6,
    }),
    resources: async () => {
      // Twice with a turn between: finalizers run in the turn after a collection.
      for (let pass = 0; pass < 2; pass++) {
        globalThis.gc?.();
        await new Promise((resolve) => setImmediate(resolve));
      }
      const { rss, heapUsed, external } = process.memoryUsage();
      const active = {};
      for (const name of process.getActiveResourcesInfo()) active[name] = (active[name] ?? 0) + 1;
      return {
        rssBytes: rss,
        heapUsedBytes: heapUsed,
        externalBytes: external,
        openFileCount: readdirSync('/proc/self/fd').length,
        active,
      };
    },
  };

  process.on('message', async ({ id, question }) => {
    process.send({ id, answer: await answers[question]() });
  });
}
