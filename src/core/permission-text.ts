/** Why a file cannot be written or read, with its owner and the command that helps. */
import { type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { failureText } from './failure-text.ts';

const refusals: ReadonlySet<unknown> = new Set(['EACCES', 'EPERM', 'EROFS']);

/**
 * @param path - that was to be written
 * @param instead - what else would do, as the end of a sentence
 */
export function writeFailure(error: unknown, path: string, instead?: string): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (!refusals.has(code)) return failureText(error);
  const also = instead === undefined ? '' : `, or ${instead}`;
  if (code === 'EROFS') {
    return `${path} cannot be written: it is on a read-only file system; mount a volume there${also}`;
  }
  const file = statsOf(path);
  const [folder, stats] = file === undefined ? existingFolder(path) : ([path, file] as const);
  const [uid, gid] = [process.getuid?.() ?? '?', process.getgid?.() ?? '?'];
  const owner = stats === undefined ? '' : `belongs to ${stats.uid}:${stats.gid}, `;
  return `${path} cannot be written: ${folder} ${owner}this runs as ${uid}:${gid}; \`chown ${uid}:${gid} ${folder}\` helps${also}`;
}

/** Why a file cannot be read, with its owner and mode where it is another user's. */
export function readFailure(error: unknown, path: string): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const stats = code === 'EACCES' ? statsOf(path) : undefined;
  if (stats === undefined) return failureText(error);
  const mode = (stats.mode & 0o777).toString(8).padStart(3, '0');
  const [uid, gid] = [process.getuid?.() ?? '?', process.getgid?.() ?? '?'];
  return `it belongs to ${stats.uid}:${stats.gid} with mode ${mode}, this runs as ${uid}:${gid}`;
}

/** The innermost folder of a path that is there. */
function existingFolder(path: string): readonly [folder: string, stats: Stats | undefined] {
  const folder = dirname(path);
  const stats = statsOf(folder);
  return stats !== undefined || folder === path ? [folder, stats] : existingFolder(folder);
}

function statsOf(folder: string): Stats | undefined {
  try {
    return statSync(folder);
  } catch {
    return undefined;
  }
}
