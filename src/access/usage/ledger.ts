import { type FileHandle, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../log/log.ts';
import { fromLine, toLine, type Usage, UsageTotals } from './usage-lines.ts';

const suffix = '.jsonl';

/** Lines of a file from which sums take their place, if that makes it ten times shorter. */
const compactionLineCount = 50_000;

/** Where the ledger of one instance lies; instances may share a folder, never a file. */
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

/** What was in a file when it was opened. */
interface Content {
  /** Sums of its lines. */
  readonly totals: UsageTotals;
  readonly lineCount: number;
  /** Up to the last line break. */
  readonly byteCount: number;
  /** Numbers of the lines that say nothing, from 1. */
  readonly badLines: readonly number[];
}

/**
 * Who used how much, on disk: what {@link record} has acknowledged survives the end of the process, however
 * it comes. Requests that end together share one write.
 */
export class Ledger {
  readonly #place: LedgerPlace;
  readonly #path: string;
  readonly #logger: Logger;
  /** Of what is in the file. */
  readonly #totals: UsageTotals;
  #file: FileHandle;
  #byteCount: number;
  #lineCount: number;
  /** The file is made shorter from here on; never where it has lines that are not understood. */
  #compactionAt: number;
  #waiting: Waiting[] = [];
  /** What could not be written, and is tried again with the next request. */
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
   * Opens the file or makes it. A line that was being written when the process ended was never
   * acknowledged, and is cut off.
   * @throws {Error} when the folder cannot be written
   */
  static async open(place: LedgerPlace, logger: Logger): Promise<Ledger> {
    await mkdir(place.folder, { recursive: true });
    const path = pathOf(place);
    const content = await readOwn(path);
    const { badLines, byteCount } = content;
    if (badLines.length > 0) {
      logger.warn({ path, lines: badLines }, 'lines of the usage ledger that say nothing');
    }
    const file = await open(path, 'a', 0o640);
    await file.truncate(byteCount);
    await syncFolder(place.folder);
    const ledger = new Ledger(place, file, content, logger);
    await ledger.#compactIfLong();
    return ledger;
  }

  /**
   * Resolves once the usage is safe.
   * @throws {Error} when it could not be written; that has been logged, and is tried again with the next
   */
  record(usage: Usage): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ usage, resolve, reject });
      this.#writing ??= this.#write();
    });
  }

  /** The sums of all instances that share the folder. */
  readAll(): Promise<readonly Usage[]> {
    return readLedgers(this.#place.folder);
  }

  /** Waits for what is being written. */
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
      // A full disk may have taken a part: what is written again must not be there twice.
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

/** The sums of all instances whose ledgers lie in a folder; none where it does not exist. */
export async function readLedgers(folder: string): Promise<readonly Usage[]> {
  const totals = new UsageTotals();
  for (const name of await ledgerNames(folder)) {
    // In pieces: who reads may have streams to serve meanwhile.
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
 * Puts a text in the place of a file, whole or not at all.
 * @returns the new file, open for more
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

/** So that a new name outlives a power cut too. Not every file system can promise that. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync().catch(() => {});
  } finally {
    await handle.close();
  }
}
