/**
 * The cache of the Hugging Face hub, in the layout that all its tools share:
 *
 *     models--OWNER--NAME/refs/main                     the commit of the branch
 *     models--OWNER--NAME/snapshots/COMMIT/FILE.gguf    a link to the blob
 *     models--OWNER--NAME/blobs/SHA256                  the bytes
 */
import {
  mkdir,
  readdir,
  readFile,
  rename,
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

  /** Commits that may have a file of a revision: the last one known first, then the others, the newest first. */
  async commitsOf(revision: string): Promise<readonly string[]> {
    if (commitHash.test(revision)) return [revision];
    const text = await readFile(this.#refPath(revision), 'utf8').catch(() => '');
    const known = commitHash.test(text.trim()) ? [text.trim()] : [];
    const names = await readdir(join(this.folder, 'snapshots')).catch(() => []);
    const dated = await Promise.all(
      names
        .filter((name) => commitHash.test(name) && !known.includes(name))
        .map(async (name) => {
          const stats = await stat(join(this.folder, 'snapshots', name));
          return { name, at: stats.mtimeMs };
        }),
    );
    return [...known, ...dated.sort((one, other) => other.at - one.at).map(({ name }) => name)];
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

  /** Makes a blob visible as the file of a commit. */
  async link(commit: string, file: RepositoryFile, hash: string): Promise<string> {
    const path = this.snapshotPath(commit, file.path);
    const blob = this.blobPath(hash);
    await mkdir(dirname(path), { recursive: true });
    // A link to a blob that is gone, or a copy that was cut.
    await unlink(path).catch(() => {});
    // Some network file systems have no links; the file moves there.
    await symlink(relative(dirname(path), blob), path).catch(async (error: unknown) => {
      if (codeOf(error) !== 'EEXIST') await rename(blob, path);
    });
    return path;
  }

  /** The commit is from now on that of the revision. */
  async setRevision(revision: string, commit: string): Promise<void> {
    if (commitHash.test(revision)) return;
    const path = this.#refPath(revision);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, commit);
  }

  #refPath(revision: string): string {
    return join(this.folder, 'refs', ...revision.split('/').filter((part) => part !== '..'));
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
