import { type FileHandle, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../log/log.ts';
import { fromLine, toLine, type Usage, UsageTotals } from './usage-lines.ts';

const suffix = '.jsonl';

/** Minimum number of lines at which a file is compacted to sums, if that makes it ten times shorter. */
const compactionLineCount = 50_000;

/** Location of one instance's ledger; instances may share a folder, never a file. */
export interface LedgerPlace {
  readonly folder: string;
  /** Becomes a file name: letters, digits, `.`, `_` and `-`. */
  readonly instance: string;
}

interface Waiting {
  readonly usage: Usage;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** The content of a file when it is opened. */
interface Content {
  /** Sums of its lines. */
  readonly totals: UsageTotals;
  readonly lineCount: number;
  /** Up to the last line break. */
  readonly byteCount: number;
  /** Numbers of invalid lines, from 1. */
  readonly badLines: readonly number[];
}

/**
 * The usage of all keys, on disk. Usage that {@link record} has acknowledged survives any end of the process. Requests that
 * end together share one write.
 */
export class Ledger {
  readonly #place: LedgerPlace;
  readonly #path: string;
  readonly #logger: Logger;
  /** Sums of the file. */
  readonly #totals: UsageTotals;
  #file: FileHandle;
  #byteCount: number;
  #lineCount: number;
  /** Number of lines from which the file is compacted; never for a file with invalid lines. */
  #compactionAt: number;
  #waiting: Waiting[] = [];
  /** Usage of failed writes, which the next write retries. */
  #unwritten = new UsageTotals();
  #writing: Promise<void> | undefined;

  private constructor(place: LedgerPlace, file: FileHandle, content: Content, logger: Logger) {
    this.#place = place;
    this.#path = pathOf(place);
    this.#logger = logger;
    this.#file = file;
    this.#totals = content.totals;
    this.#byteCount = content.byteCount;
    this.#lineCount = content.lineCount;
    this.#compactionAt = content.badLines.length > 0 ? Infinity : compactionLineCount;
  }

  /**
   * Opens or creates the file. An incomplete last line was never acknowledged, and is cut off.
   * @throws {Error} when the folder cannot be written
   */
  static async open(place: LedgerPlace, logger: Logger): Promise<Ledger> {
    await mkdir(place.folder, { recursive: true });
    const path = pathOf(place);
    const content = await readOwn(path);
    const { badLines, byteCount } = content;
    if (badLines.length > 0) {
      logger.warn({ path, lines: badLines }, 'invalid lines in the usage ledger');
    }
    const file = await open(path, 'a', 0o640);
    await file.truncate(byteCount);
    await syncFolder(place.folder);
    const ledger = new Ledger(place, file, content, logger);
    await ledger.#compactIfLong();
    return ledger;
  }

  /**
   * Resolves once the usage is on the disk.
   * @throws {Error} when it could not be written; the failure is logged, and the next write retries it
   */
  record(usage: Usage): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ usage, resolve, reject });
      this.#writing ??= this.#write();
    });
  }

  /** Sums over all instances that share the folder. */
  readAll(): Promise<readonly Usage[]> {
    return readLedgers(this.#place.folder);
  }

  /** Waits for the current write. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#file.close();
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      const usages = [...this.#unwritten.list(), ...batch.map(({ usage }) => usage)];
      try {
        await this.#append(usages);
        this.#unwritten = new UsageTotals();
        for (const { resolve } of batch) resolve();
      } catch (error) {
        this.#logger.error({ err: error, path: this.#path }, 'usage could not be written');
        for (const { usage, reject } of batch) {
          this.#unwritten.add(usage);
          reject(error);
        }
      }
      await this.#compactIfLong();
    }
    this.#writing = undefined;
  }

  async #append(usages: readonly Usage[]): Promise<void> {
    const text = Buffer.from(usages.map(toLine).join(''));
    try {
      await this.#file.appendFile(text);
      await this.#file.datasync();
    } catch (error) {
      // A full disk may have taken a part, which a retry must not write twice.
      await this.#file.truncate(this.#byteCount);
      throw error;
    }
    this.#byteCount += text.length;
    this.#lineCount += usages.length;
    for (const usage of usages) this.#totals.add(usage);
  }

  async #compactIfLong(): Promise<void> {
    if (this.#lineCount < Math.max(this.#compactionAt, 10 * this.#totals.size)) return;
    const lines = this.#totals.list().map(toLine);
    const text = Buffer.from(lines.join(''));
    try {
      const file = await replace(this.#path, text);
      const old = this.#file;
      this.#file = file;
      this.#byteCount = text.length;
      this.#lineCount = lines.length;
      await syncFolder(this.#place.folder);
      await old.close();
    } catch (error) {
      this.#compactionAt = this.#lineCount + compactionLineCount;
      this.#logger.error({ err: error, path: this.#path }, 'the usage ledger was not shortened');
    }
  }
}

/** Sums over all ledgers in a folder; none where the folder does not exist. */
export async function readLedgers(folder: string): Promise<readonly Usage[]> {
  const totals = new UsageTotals();
  for (const name of await ledgerNames(folder)) {
    // Line by line, so that the server can serve streams meanwhile.
    const file = await open(join(folder, name));
    for await (const line of file.readLines()) {
      const usage = fromLine(line);
      if (usage !== undefined) totals.add(usage);
    }
  }
  return totals.list();
}

async function ledgerNames(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).filter((name) => name.endsWith(suffix));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function pathOf({ folder, instance }: LedgerPlace): string {
  return join(folder, `${instance}${suffix}`);
}

async function readOwn(path: string): Promise<Content> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  });
  const byteCount = bytes.lastIndexOf('\n') + 1;
  const lines = bytes.toString('utf8', 0, byteCount).split('\n').slice(0, -1);
  const totals = new UsageTotals();
  const badLines: number[] = [];
  for (const [index, line] of lines.entries()) {
    const usage = fromLine(line);
    if (usage === undefined) badLines.push(index + 1);
    else totals.add(usage);
  }
  return { totals, badLines, lineCount: lines.length, byteCount };
}

/**
 * Replaces the content of a file, completely or not at all.
 * @returns the new file, open for appending
 */
async function replace(path: string, text: Buffer): Promise<FileHandle> {
  const partial = `${path}.partial`;
  await rm(partial, { force: true });
  const file = await open(partial, 'a', 0o640);
  try {
    await file.appendFile(text);
    await file.sync();
    await rename(partial, path);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Makes a new file name survive a power cut, where the file system supports it. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync().catch(() => {});
  } finally {
    await handle.close();
  }
}
