/** One download of a file at a time, also by processes of other containers that share the folder. */
import { randomBytes } from 'node:crypto';
import { mkdir, stat, unlink, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLock, lockHolder, removeLock } from '../core/lock-file.ts';

export interface LockOptions {
  readonly signal: AbortSignal;
  /** Called once, when another process has the lock. */
  readonly onWait: (holder: string) => void;
  /** Shorter in tests. */
  readonly timing?: LockTiming;
}

export interface LockTiming {
  /** How often the holder shows that it lives. */
  readonly beatMs: number;
  /** A lock without a beat for so long belongs to a process that is gone. Clocks of other machines do not matter. */
  readonly silenceMs: number;
}

const defaultTiming: LockTiming = { beatMs: 5000, silenceMs: 30_000 };

/**
 * Runs `work` while no other process has the lock. The signal that it receives aborts when the lock is lost.
 * @param path - of the lock file
 * @throws the signal's reason when it aborts while waiting
 */
export async function withDownloadLock<T>(
  path: string,
  work: (whileLocked: AbortSignal) => Promise<T>,
  { signal, onWait, timing = defaultTiming }: LockOptions,
): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const name = `${process.pid}@${hostname()} ${randomBytes(6).toString('hex')}`;
  for (let isFirst = true; !(await createLock(path, name, 0o644)); isFirst = false) {
    if (isFirst) onWait((await lockHolder(path))?.split(' ')[0] ?? 'another process');
    await untilFreeOrSilent(path, timing, signal);
  }
  const lost = new AbortController();
  const beat = setInterval(async () => {
    // Another process may have taken a lock that it thought dead, after this one was stopped for long.
    if ((await lockHolder(path)) !== name)
      return lost.abort(new Error('another process has the lock'));
    const now = new Date();
    await utimes(path, now, now).catch(() => {});
  }, timing.beatMs);
  try {
    return await work(AbortSignal.any([signal, lost.signal]));
  } finally {
    clearInterval(beat);
    if ((await lockHolder(path)) === name) await unlink(path).catch(() => {});
  }
}

/** Returns when the lock is gone, or after it was removed because its holder is. */
async function untilFreeOrSilent(
  path: string,
  { beatMs, silenceMs }: LockTiming,
  signal: AbortSignal,
): Promise<void> {
  let holder = await lockHolder(path);
  let seen = await beatOf(path);
  let seenAt = performance.now();
  while (seen !== undefined) {
    await sleep(Math.min(beatMs, 500), undefined, { signal });
    const now = await beatOf(path);
    if (now !== seen) {
      seen = now;
      holder = await lockHolder(path);
      seenAt = performance.now();
    } else if (performance.now() - seenAt > silenceMs) {
      await removeLock(path, holder);
      return;
    }
  }
}

/** Changes with each beat and with each holder. */
async function beatOf(path: string): Promise<string | undefined> {
  const stats = await stat(path).catch(() => undefined);
  return stats && `${stats.ino} ${stats.mtimeMs}`;
}
