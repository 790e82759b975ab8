import { readFileSync, type Stats, unwatchFile, watchFile } from 'node:fs';
import type { Server } from 'node:https';
import { createSecureContext } from 'node:tls';
import { failureText } from './config/sources.ts';
import type { Logger } from './log.ts';
import { StartError } from './start-error.ts';

/** Where a certificate and its private key are. */
export interface TlsFiles {
  /** PEM, the certificate of the server first, those that signed it behind it. */
  readonly certPath: string;
  /** PEM, without a password. */
  readonly keyPath: string;
}

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
  const paths = [files.certPath, files.keyPath];
  const onChange = (now: Stats, before: Stats) => {
    if (now.mtimeMs === before.mtimeMs && now.ino === before.ino && now.size === before.size)
      return;
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
  for (const path of paths) watchFile(path, { interval: intervalMs, persistent: false }, onChange);
  return () => {
    for (const path of paths) unwatchFile(path, onChange);
  };
}
