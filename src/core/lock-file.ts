/** Files that say which process may do something; who waits for one decides when its holder is gone. */
import { randomBytes } from 'node:crypto';
import { link, open, readFile, rename, unlink } from 'node:fs/promises';

/**
 * @param text - names the holder
 * @param mode - who may read that
 * @returns false where the lock is held
 */
export async function createLock(path: string, text: string, mode = 0o600): Promise<boolean> {
  try {
    const file = await open(path, 'wx', mode);
    await file.writeFile(text);
    await file.close();
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/** Renames the lock before it is deleted: a lock that a living process created in between must not be lost. */
export async function removeLock(lockPath: string, deadHolder: string | undefined): Promise<void> {
  const aside = `${lockPath}.${randomBytes(6).toString('hex')}`;
  try {
    await rename(lockPath, aside);
  } catch {
    return;
  }
  if ((await lockHolder(aside)) !== deadHolder) await link(aside, lockPath).catch(() => {});
  await unlink(aside);
}

/** What the lock says of its holder; undefined without a lock. */
export async function lockHolder(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}
