import { hostname, userInfo } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { shownEnvironment } from './redact.ts';

/** How long a container is kept, so that somebody can look around in it. */
const keptMs = 300_000;

/**
 * Starts nothing, says where it is, and stays for a while: for a container that ends before anybody can open a
 * shell in it. Secrets are left out.
 * @returns the exit code, when the time is over or `stop` aborts
 */
export async function debugShell(
  stop: AbortSignal,
  write: (text: string) => void,
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const { uid, gid } = userInfo();
  write(`DEBUG_SHELL is on: nothing is started, this process stays for ${keptMs / 1000} s\n`);
  write(`user ${uid}:${gid}, host ${hostname()}, folder ${process.cwd()}\n`);
  write(shownEnvironment(env));
  await sleep(keptMs, undefined, { signal: stop }).catch(() => {});
  return 0;
}
