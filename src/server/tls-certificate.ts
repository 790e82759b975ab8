import { readFileSync, statSync } from 'node:fs';
import type { Server } from 'node:https';
import { createSecureContext } from 'node:tls';
import type { TlsFiles } from '../config/config.ts';
import { failureText } from '../core/failure-text.ts';
import { StartError } from '../core/start-error.ts';
import type { Logger } from '../log/log.ts';

/** What a listener is opened with. */
export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** How soon a change of the files is seen. */
const watchIntervalMs = 2000;

/**
 * Reads both files.
 * @throws {Error} when one cannot be read, or they do not belong together
 */
function readMaterial({ certPath, keyPath }: TlsFiles): TlsMaterial {
  const material = { cert: readFileSync(certPath), key: readFileSync(keyPath) };
  createSecureContext(material);
  return material;
}

/**
 * Reads the certificate a server starts with.
 * @throws {StartError} exit code 2 when it cannot be used
 */
export function openCertificate(files: TlsFiles): TlsMaterial {
  try {
    return readMaterial(files);
  } catch (cause) {
    const { certPath, keyPath } = files;
    throw new StartError(
      2,
      `TLS_CERT ${certPath} and TLS_KEY ${keyPath} cannot be used: ${failureText(cause)}`,
      { cause },
    );
  }
}

/**
 * Gives a server the new certificate whenever a file changes; connections that are open keep the old one.
 * Both files are replaced one after the other, so a pair that does not go together is no mistake until it
 * stays so: it is logged, and the old one goes on.
 * @returns what ends it
 */
export function renewCertificate(
  server: Server,
  files: TlsFiles,
  logger: Logger,
  intervalMs = watchIntervalMs,
): () => void {
  let seen = identityOf(files);
  const look = () => {
    const now = identityOf(files);
    if (now === seen) return;
    seen = now;
    try {
      server.setSecureContext(readMaterial(files));
      logger.info({ ...files }, 'certificate renewed');
    } catch (error) {
      logger.error(
        { ...files, reason: failureText(error) },
        'the new certificate cannot be used; the one from before stays',
      );
    }
  };
  const watching = setInterval(look, intervalMs);
  watching.unref();
  return () => clearInterval(watching);
}

/** Changes whenever one of the files does; also where they are replaced, or on another machine. */
function identityOf({ certPath, keyPath }: TlsFiles): string {
  return [certPath, keyPath]
    .map((path) => {
      const stats = statSync(path, { throwIfNoEntry: false });
      return stats === undefined
        ? '-'
        : `${stats.ino} ${stats.size} ${stats.mtimeMs} ${stats.ctimeMs}`;
    })
    .join();
}
