import { readFileSync, statSync } from 'node:fs';
import type { Server } from 'node:https';
import { createSecureContext } from 'node:tls';
import type { TlsFiles } from '../config/config.ts';
import { failureText } from '../core/failure-text.ts';
import { StartError } from '../core/start-error.ts';
import type { Logger } from '../log/log.ts';

/** Contents of a certificate and its private key. */
export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** How soon a change of the files is noticed. */
const watchIntervalMs = 2000;

/**
 * Reads both files.
 * @throws {Error} when a file cannot be read, or the two do not match
 */
function readMaterial({ certPath, keyPath }: TlsFiles): TlsMaterial {
  const material = { cert: readFileSync(certPath), key: readFileSync(keyPath) };
  createSecureContext(material);
  return material;
}

/**
 * Reads the certificate with which a server starts.
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
 * Gives a server the new certificate whenever a file changes; open connections keep the old certificate. The two files
 * are replaced one after the other, so a pair that does not match may be temporary: it is logged, and the old certificate
 * stays in use.
 * @returns a function that ends the watching
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
        'the new certificate cannot be used; the old one stays in use',
      );
    }
  };
  const watching = setInterval(look, intervalMs);
  watching.unref();
  return () => clearInterval(watching);
}

/** Changes whenever a file changes, also where a file is replaced or lies on another machine. */
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
