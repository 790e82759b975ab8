import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, readlink, rename, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createLock, lockHolder, removeLock } from '../../core/lock-file.ts';

const lockPatienceMs = 10_000;
const lockRetryMs = 25;

/**
 * Runs `work` while no other process changes the file. The lock is a file beside it that names its holder; the lock of a
 * dead process is removed.
 * @throws {Error} when the lock is held for longer than ten seconds
 */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const lockPath = `${path}.lock`;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const deadline = performance.now() + lockPatienceMs;
  while (!(await createLock(lockPath, ownName()))) {
    const holder = await lockHolder(lockPath);
    if (holder !== undefined && isDead(holder)) await removeLock(lockPath, holder);
    else if (performance.now() > deadline) {
      throw new Error(`${path} is locked by process ${holder ?? 'unknown'}; see ${lockPath}`);
    } else await delay(lockRetryMs);
  }
  try {
    return await work();
  } finally {
    await unlink(lockPath);
  }
}

/**
 * Replaces a file in one step, so that a reader sees the old text or the new. The file has mode 0600 from
 * its first byte, keeps its owner, and is on the disk when this returns. A symbolic link stays a link.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  const target = await targetOf(path);
  const folder = dirname(target);
  const temporary = join(folder, `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
  const file = await open(temporary, 'wx', 0o600);
  try {
    try {
      await keepOwner(target, file);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  await syncFolder(folder);
}

async function targetOf(path: string): Promise<string> {
  const link = await readlink(path).catch(() => undefined);
  return link === undefined ? path : targetOf(resolve(dirname(path), link));
}

/** Where root changes the file, the user of the server must still be able to read it. */
async function keepOwner(target: string, file: FileHandle): Promise<void> {
  const old = await open(target, 'r').catch(() => undefined);
  if (old === undefined) return;
  try {
    const [{ uid, gid }, own] = await Promise.all([old.stat(), file.stat()]);
    if (uid !== own.uid || gid !== own.gid) await file.chown(uid, gid);
  } finally {
    await old.close();
  }
}

/** Not every file system can sync a folder; the file itself is synced. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined);
  await folder?.sync().catch(() => {});
  await folder?.close();
}

function ownName(): string {
  return `${process.pid}@${hostname()}`;
}

/** Whether the holder is a process of this machine that has ended. */
function isDead(holder: string): boolean {
  const [, id, host] = /^(\d+)@(.*)$/.exec(holder) ?? [];
  if (id === undefined || host !== hostname()) return false;
  try {
    process.kill(Number(id), 0);
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH';
  }
}
