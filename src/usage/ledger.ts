import { readdirSync, readFileSync } from 'node:fs';
import { type FileHandle, mkdir, open, readFile, rename, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../log.ts';
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
  readonly line: string;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Who used how much, on disk: what {@link record} has acknowledged survives the end of the process, however
 * it comes. Requests that end together share one write.
 */
export class Ledger {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #totals: UsageTotals;
  #file: FileHandle;
  #lineCount: number;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;

  private constructor(
    path: string,
    logger: Logger,
    content: {
      readonly totals: UsageTotals;
      readonly lineCount: number;
      readonly file: FileHandle;
    },
  ) {
    this.#path = path;
    this.#logger = logger;
    this.#totals = content.totals;
    this.#lineCount = content.lineCount;
    this.#file = content.file;
  }

  /**
   * Opens the file or makes it. A line that was being written when the process ended was never
   * acknowledged, and is cut off.
   * @throws {Error} when the folder cannot be written
   */
  static async open({ folder, instance }: LedgerPlace, logger: Logger): Promise<Ledger> {
    await mkdir(folder, { recursive: true });
    const path = join(folder, `${instance}${suffix}`);
    const { totals, lineCount, wholeBytes, badLines } = await readOwn(path);
    if (badLines.length > 0) {
      logger.warn({ path, lines: badLines }, 'lines of the usage ledger that say nothing');
    }
    const file = await open(path, 'a', 0o640);
    await truncate(path, wholeBytes);
    const ledger = new Ledger(path, logger, { totals, lineCount, file });
    if (badLines.length === 0) await ledger.#compactIfLong();
    return ledger;
  }

  /** Resolves once the usage is safe. */
  record(usage: Usage): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line: toLine(usage), resolve, reject });
      this.#totals.add(usage);
      this.#writing ??= this.#write();
    });
  }

  /** Of this instance. */
  totals(): readonly Usage[] {
    return this.#totals.list();
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
      try {
        await this.#file.appendFile(batch.map(({ line }) => line).join(''));
        await this.#file.datasync();
        this.#lineCount += batch.length;
        for (const { resolve } of batch) resolve();
      } catch (error) {
        this.#logger.error({ err: error, path: this.#path }, 'usage could not be written');
        for (const { reject } of batch) reject(error);
      }
      await this.#compactIfLong();
    }
    this.#writing = undefined;
  }

  async #compactIfLong(): Promise<void> {
    if (this.#lineCount < Math.max(compactionLineCount, 10 * this.#totals.size)) return;
    // What waits is in the totals already; it must not be written once more.
    const batch = this.#waiting;
    this.#waiting = [];
    const lines = this.#totals.list().map(toLine);
    const partial = `${this.#path}.partial`;
    try {
      const file = await open(partial, 'w', 0o640);
      try {
        await file.writeFile(lines.join(''));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(partial, this.#path);
      await syncFolder(join(this.#path, '..'));
      const old = this.#file;
      this.#file = await open(this.#path, 'a', 0o640);
      await old.close();
      this.#lineCount = lines.length;
      for (const { resolve } of batch) resolve();
    } catch (error) {
      this.#logger.error({ err: error, path: this.#path }, 'the usage ledger was not shortened');
      this.#waiting = [...batch, ...this.#waiting];
    }
  }
}

/** The sums of all instances whose ledgers lie in a folder; none where it does not exist. */
export function readLedgers(folder: string): readonly Usage[] {
  const totals = new UsageTotals();
  for (const name of ledgerNames(folder)) {
    for (const line of readFileSync(join(folder, name), 'utf8').split('\n')) {
      const usage = fromLine(line);
      if (usage !== undefined) totals.add(usage);
    }
  }
  return totals.list();
}

function ledgerNames(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith(suffix));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

async function readOwn(path: string) {
  const totals = new UsageTotals();
  const badLines: number[] = [];
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    text = '';
  }
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  const lines = whole.split('\n').slice(0, -1);
  for (const [index, line] of lines.entries()) {
    const usage = fromLine(line);
    if (usage === undefined) badLines.push(index + 1);
    else totals.add(usage);
  }
  return { totals, badLines, lineCount: lines.length, wholeBytes: Buffer.byteLength(whole) };
}

/** So that a new name outlives a power cut too. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
