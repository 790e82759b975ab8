/** Measurements in a file, one JSON line each, so that a run that was cut goes on where it was. */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Score } from './score.ts';

/** One contestant's measurement of one row in one round. */
export interface MeasuredRun {
  /** Mix and arrivals, as the table shows them. */
  readonly row: string;
  readonly contestant: string;
  readonly round: number;
  readonly score: Score;
}

export class SavedRuns {
  readonly #path: string | undefined;
  readonly #runs: MeasuredRun[] = [];

  /**
   * @param path - undefined: nothing is saved
   * @param conditions - what the measurements depend on, in the first line
   * @throws {Error} when the file is one of other conditions
   */
  constructor(path: string | undefined, conditions: object) {
    this.#path = path;
    if (path === undefined) return;
    const heading = JSON.stringify(conditions);
    if (!existsSync(path)) {
      writeFileSync(path, `${heading}\n`);
      return;
    }
    const [first, ...lines] = readFileSync(path, 'utf8').split('\n');
    if (first !== heading) {
      throw new Error(`${path} was saved with other options: choose another file, or remove it`);
    }
    // The line that was being written when the run was cut is not whole.
    const whole = lines.slice(0, -1);
    if (lines.at(-1) !== '') writeFileSync(path, `${[heading, ...whole].join('\n')}\n`);
    for (const line of whole) this.#runs.push(parseRun(line));
  }

  get runs(): readonly MeasuredRun[] {
    return this.#runs;
  }

  find(row: string, contestant: string, round: number): MeasuredRun | undefined {
    return this.#runs.find(
      (run) => run.row === row && run.contestant === contestant && run.round === round,
    );
  }

  add(run: MeasuredRun): void {
    this.#runs.push(run);
    if (this.#path !== undefined) appendFileSync(this.#path, `${JSON.stringify(run)}\n`);
  }
}

/** JSON has no NaN and writes null. */
function parseRun(line: string): MeasuredRun {
  return JSON.parse(line, (_key, value) => (value === null ? Number.NaN : value)) as MeasuredRun;
}
