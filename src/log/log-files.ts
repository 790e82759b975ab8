import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { LogFilesSettings } from './log-settings.ts';
import { RotatingFile } from './rotating-file.ts';

/** Which part of the program writes: file names tell them apart. */
export type LogOwner = 'gateway' | 'supervisor';

const bootFolder = '_boot';
const accessFileName = 'api_access.log';
/** Holds the path of the newest file of its folder. */
const latestFileName = 'latest.txt';

/**
 * The log files of one process, in the Python gateway's places: `_boot` up to the moment the server is
 * ready, then the folder of the server log, and the access log beside them.
 */
export class LogFiles {
  readonly #config: LogFilesSettings;
  readonly #owner: LogOwner;
  readonly #onFailure: (error: unknown) => void;
  #current: RotatingFile;
  /** Only the gateway has requests to tell of. */
  readonly access: RotatingFile | undefined;

  /** @throws what the file system says when folders or files cannot be made */
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

  /** From now on lines go to the server log. */
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
 * Makes it and what it lies in. Not Node's own `recursive`, which tries for ever where a file system
 * answers ENOENT though the parent exists, as `/proc` does.
 */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    // Another process of this server may have been faster.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Keeps the newest of this instance; their names sort by time. */
function removeOldest(folder: string, ending: string, keptCount: number): void {
  const isStart = (name: string) => /^\d{8}_\d{6}_/.test(name) && name.slice(15).startsWith(ending);
  const names = readdirSync(folder).filter(isStart);
  const starts = [...new Set(names.map((name) => name.slice(0, 15)))].sort();
  const kept = new Set(starts.slice(-keptCount));
  for (const name of names) {
    if (!kept.has(name.slice(0, 15))) rmSync(join(folder, name), { force: true });
  }
}
