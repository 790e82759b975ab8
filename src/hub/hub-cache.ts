/**
 * The cache of the Hugging Face hub, in the layout that all its tools share:
 *
 *     models--OWNER--NAME/refs/main                     the commit of the branch
 *     models--OWNER--NAME/snapshots/COMMIT/FILE.gguf    a link to the blob
 *     models--OWNER--NAME/blobs/SHA256                  the bytes
 */
import { existsSync } from 'node:fs';
import {
  copyFile,
  mkdir,
  readdir,
  readFile,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import type { RepositoryFile } from './choose-file.ts';

const commitHash = /^[0-9a-f]{40}$/;

/** One repository in the cache. */
export class CachedRepository {
  readonly folder: string;

  /** @param repository - `owner/name` */
  constructor(cacheFolder: string, repository: string) {
    this.folder = join(cacheFolder, `models--${repository.replaceAll('/', '--')}`);
  }

  blobPath(hash: string): string {
    return join(this.folder, 'blobs', hash);
  }

  /** @throws {Error} for a path that leaves the snapshot */
  snapshotPath(commit: string, path: string): string {
    if (path.split(/[/\\]/).includes('..') || /^[/\\]/.test(path)) {
      throw new Error(`the hub names a file outside of its repository: ${JSON.stringify(path)}`);
    }
    return join(this.folder, 'snapshots', commit, ...path.split('/'));
  }

  /** The commit that a revision had when a file of it was last fetched; undefined for an unknown revision. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (commitHash.test(revision)) return revision;
    const text = await readFile(this.#refPath(revision), 'utf8').catch(() => undefined);
    const commit = text?.trim();
    return commit !== undefined && commitHash.test(commit) ? commit : undefined;
  }

  /** The files of a commit that are there as a whole. */
  async filesOf(commit: string): Promise<readonly RepositoryFile[]> {
    const root = join(this.folder, 'snapshots', commit);
    const names = await readdir(root, { recursive: true }).catch(() => []);
    const files = await Promise.all(
      names.map(async (name) => {
        const path = join(root, name);
        // Undefined for a link to a blob that is gone.
        const stats = await stat(path).catch(() => undefined);
        if (stats?.isFile() !== true) return [];
        return [{ path: name.split(sep).join('/'), sizeBytes: stats.size }];
      }),
    );
    return files.flat();
  }

  /** Makes a blob visible as the file of a commit, and the commit as that of the revision. */
  async link(
    commit: string,
    revision: string,
    file: RepositoryFile,
    hash: string,
  ): Promise<string> {
    const path = this.snapshotPath(commit, file.path);
    const blob = this.blobPath(hash);
    await mkdir(dirname(path), { recursive: true });
    if (!existsSync(path)) {
      // A link to a blob that is gone.
      await unlink(path).catch(() => {});
      const target = relative(dirname(path), blob);
      // Some network file systems have no links.
      await symlink(target, path).catch(async (error: unknown) => {
        if (codeOf(error) !== 'EEXIST') await copyFile(blob, path);
      });
    }
    if (!commitHash.test(revision)) {
      const ref = this.#refPath(revision);
      await mkdir(dirname(ref), { recursive: true });
      await writeFile(ref, commit);
    }
    return path;
  }

  #refPath(revision: string): string {
    return join(this.folder, 'refs', ...revision.split('/').filter((part) => part !== '..'));
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
