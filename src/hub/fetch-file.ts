/** One file from elsewhere: downloaded once, whoever asks for it at the same time. */
import { existsSync } from 'node:fs';
import { writeFailure } from '../core/permission-text.ts';
import { StartError } from '../core/start-error.ts';
import { DownloadError, download } from './download.ts';
import { withDownloadLock } from './download-lock.ts';
import type { DownloadWatch } from './located-model.ts';

/** Where a file comes from. */
export interface FileOrigin {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly sizeBytes?: number;
  readonly sha256?: string | undefined;
  /** Its name in messages, without secrets. */
  readonly what: string;
}

/**
 * @param path - of the file; nothing happens where it is there
 * @throws {DownloadError} for a reply that refuses; {@link StartError} exit code 1 with any other reason
 */
export async function fetchFile(
  path: string,
  { onProgress, onNote, signal }: DownloadWatch,
  { what, ...source }: FileOrigin,
): Promise<void> {
  if (existsSync(path)) return;
  const fetchIt = async (whileLocked: AbortSignal) => {
    // Another process has brought it meanwhile.
    if (existsSync(path)) return;
    const onRetry = (reason: string, waitMs: number) =>
      onNote(`${reason}; trying again in ${Math.round(waitMs / 1000)} s`);
    await download({ ...source, path, onProgress, onRetry, signal: whileLocked });
  };
  const onWait = (holder: string) => onNote(`waiting for ${holder}, which downloads the same file`);
  try {
    await withDownloadLock(`${path}.lock`, fetchIt, { signal, onWait });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof DownloadError && error.status !== undefined) throw error;
    const reason = error instanceof DownloadError ? error.message : writeFailure(error, path);
    throw new StartError(1, `${what} could not be downloaded: ${reason}`, { cause: error });
  }
}
