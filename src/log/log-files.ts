import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { LogFilesSettings } from './log-settings.ts';
import { RotatingFile } from './rotating-file.ts';

/** The process that writes, which is part of the file names. */
export type LogOwner = 'gateway' | 'supervisor';

const bootFolder = '_boot';
const accessFileName = 'api_access.log';
/** Contains the path of the newest file of its folder. */
const latestFileName = 'latest.txt';

/**
 * The log files of one process, in the places of the Python gateway: `_boot` until the server is ready, then the folder
 * of the server log, and the access log beside them.
 */
export class LogFiles {
  readonly #config: LogFilesSettings;
  readonly #owner: LogOwner;
  readonly #onFailure: (error: unknown) => void;
  #current: RotatingFile;
  /** The access log, which only the gateway has. */
  readonly access: RotatingFile | undefined;

  /** @throws the error of the file system when a folder or a file cannot be created */
  constructor(config: LogFilesSettings, owner: LogOwner, onFailure: (error: unknown) => void) {
    this.#config = config;
    this.#owner = owner;
    this.#onFailure = onFailure;
    this.#current =
      owner === 'gateway' ? this.#begin(bootFolder, 'boot') : this.#begin(config.name, owner);
    this.access =
      owner === 'gateway'
        ? new RotatingFile(join(config.folder, accessFileName), config, onFailure)
        : undefined;
    process.once('exit', () => {
      this.#current.flushSync();
      this.access?.flushSync();
    });
  }

  write(line: string): void {
    this.#current.write(line);
  }

  /** Switches from the boot log to the server log. */
  async beginService(): Promise<void> {
    if (this.#owner !== 'gateway') return;
    const boot = this.#current;
    this.#current = this.#begin(this.#config.name, 'server');
    await boot.close();
  }

  reopen(): void {
    this.#current.reopen();
    this.access?.reopen();
  }

  async close(): Promise<void> {
    await this.#current.close();
    await this.access?.close();
  }

  /** `<folder>/YYYYMMDD_HHMMSS_<kind>_<instance>.log`, time in UTC. */
  #begin(folderName: string, kind: string): RotatingFile {
    const { instance, maxFiles } = this.#config;
    const folder = join(this.#config.folder, folderName);
    makeFolder(folder);
    const stamp = new Date()
      .toISOString()
      .replace(/[-:]|\..*$/g, '')
      .replace('T', '_');
    const path = join(folder, `${stamp}_${kind}_${instance}.log`);
    const file = new RotatingFile(path, this.#config, this.#onFailure);
    if (kind !== 'supervisor') writeFileSync(join(folder, latestFileName), `${path}\n`);
    removeOldest(folder, `_${kind}_${instance}.log`, maxFiles);
    return file;
  }
}

/**
 * Creates a folder and its parents. The `recursive` option of Node.js retries forever where a file system answers ENOENT
 * although the parent exists, as `/proc` does.
 */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    // Another process of this server may have created it.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Keeps the newest files of this instance; their names sort by time. */
function removeOldest(folder: string, ending: string, keptCount: number): void {
  const isStart = (name: string) => /^\d{8}_\d{6}_/.test(name) && name.slice(15).startsWith(ending);
  const names = readdirSync(folder).filter(isStart);
  const starts = [...new Set(names.map((name) => name.slice(0, 15)))].sort();
  const kept = new Set(starts.slice(-keptCount));
  for (const name of names) {
    if (!kept.has(name.slice(0, 15))) rmSync(join(folder, name), { force: true });
  }
}
