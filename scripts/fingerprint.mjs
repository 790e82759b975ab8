/**
 * What a build step is made of, as one hash of contents: `npm ci`, `git checkout` and copies renew the times of files,
 * and nothing has to be built for that. The hash of each file is remembered beside its size and time, so that a check
 * reads only files that may have changed.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';

/** The inputs of the last successful run of a build step, in a file. */
export class Stamp {
  #path;
  #fingerprint;
  /** Relative path to size, time and hash. */
  #files;

  /** @param path - an unreadable file counts as none */
  constructor(path) {
    this.#path = path;
    try {
      const { fingerprint, files } = JSON.parse(readFileSync(path, 'utf8'));
      this.#fingerprint = fingerprint;
      this.#files = files ?? {};
    } catch {
      this.#files = {};
    }
  }

  /**
   * Compares the inputs with those of the last run.
   * @param root - the folder that paths are relative to; no part of the fingerprint: what is built finds its libraries
   *   beside itself, so that a copy of the folder need not be built again
   * @returns whether they are the same, and `save`, which makes them the last run's
   */
  compare(root, files) {
    const seen = {};
    let isRead = false;
    const hash = createHash('sha256').update(`${process.version}\0`);
    for (const file of files) {
      const name = relative(root, file);
      const { size, mtimeMs } = statSync(file);
      const known = this.#files[name];
      const isKnown = known?.size === size && known.mtimeMs === mtimeMs;
      isRead ||= !isKnown;
      const contents = isKnown ? known.contents : hashOf(file);
      seen[name] = { size, mtimeMs, contents };
      hash.update(`${name}\0${contents}\0`);
    }
    const fingerprint = hash.digest('hex');
    const save = () => this.#write(fingerprint, seen);
    const isSame = fingerprint === this.#fingerprint;
    // Times alone have changed: the next check need not read the files again.
    if (isSame && isRead) save();
    return { isSame, save };
  }

  /** By a rename: another process may be reading it. */
  #write(fingerprint, files) {
    mkdirSync(dirname(this.#path), { recursive: true });
    const temporary = `${this.#path}.${process.pid}`;
    writeFileSync(temporary, JSON.stringify({ fingerprint, files }));
    renameSync(temporary, this.#path);
  }
}

function hashOf(file) {
  return createHash('sha256').update(readFileSync(file)).digest('base64');
}
