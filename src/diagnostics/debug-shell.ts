import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { shownEnvironment } from './redact.ts';

/** How long the container is kept for inspection. */
const keptMs = 300_000;

/**
 * Starts nothing, writes user, host and environment without secrets, and stays for a while: a container that ends at
 * once leaves no time to open a shell in it.
 * @returns the exit code, once the time is over or `stop` aborts
 */
export async function debugShell(
  stop: AbortSignal,
  write: (text: string) => void,
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  write(`DEBUG_SHELL is on: nothing is started, this process stays for ${keptMs / 1000} s\n`);
  write(
    `user ${process.getuid?.()}:${process.getgid?.()}, host ${hostname()}, folder ${process.cwd()}\n`,
  );
  write(shownEnvironment(env));
  await sleep(keptMs, undefined, { signal: stop }).catch(() => {});
  return 0;
}
