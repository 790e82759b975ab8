/** Why a file cannot be written, with the owner of the folder and the command that helps. */
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
  const [folder, stats] = existingFolder(path);
  const [uid, gid] = [process.getuid?.() ?? '?', process.getgid?.() ?? '?'];
  const owner = stats === undefined ? '' : `belongs to ${stats.uid}:${stats.gid}, `;
  return `${path} cannot be written: ${folder} ${owner}this runs as ${uid}:${gid}; \`chown ${uid}:${gid} ${folder}\` helps${also}`;
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
