/** The built command line as a child process: its log lines, its exit, and its certain end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const builtCliPath = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** How long a line or an exit is waited for; TEST_PATIENCE multiplies it, for a machine that is busy. */
const patienceMs = 60_000 * Number(process.env.TEST_PATIENCE || 1);

/** One line of the log in its JSON form. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string };

/** How a process ended; either may be null, as Node reports it. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What the process is started with, beside its arguments. */
export interface CliOptions {
  /** Settings; nothing of the test's own environment but `PATH` and the CPU variant reaches the process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Flags of `node` itself. */
  readonly nodeFlags?: readonly string[];
  /** Another copy of `cli.js` than the one of this clone. */
  readonly cliPath?: string;
}

/** The kernels that ggml is to use, see cpu-variant.mjs. */
const { TEST_CPU_VARIANT, NODE_OPTIONS = '' } = process.env;
const cpuVariant = TEST_CPU_VARIANT ? { TEST_CPU_VARIANT, NODE_OPTIONS } : {};

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) killGroup(child);
});

/** A server has children of its own. */
function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // All of them are gone.
  }
}

/** A running `cli.js` that logs JSON. */
export class CliProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  readonly lines: LogLine[] = [];
  #stdout = '';
  #stderr = '';
  #ended: Exit | undefined;
  readonly #waiters = new Set<() => void>();

  constructor(args: readonly string[], options: CliOptions = {}) {
    const { env = {}, nodeFlags = [], cliPath = builtCliPath } = options;
    if (!existsSync(cliPath)) throw new Error(`${cliPath} is missing: run npm run build`);
    this.child = spawn(process.execPath, [...nodeFlags, cliPath, ...args], {
      env: { PATH: process.env.PATH ?? '', LOG_FORMAT: 'json', ...cpuVariant, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
    });
    running.add(this.child);
    this.exited = this.#watch();
  }

  /** Everything written to standard output so far. */
  get stdout(): string {
    return this.#stdout;
  }

  /** Everything written to standard error so far: log lines, and what a crash leaves. */
  get stderr(): string {
    return this.#stderr;
  }

  hasLogged(message: string): boolean {
    return this.lines.some(({ msg }) => msg === message);
  }

  /** The first log line with that message and those fields, which may have been written already. */
  async line(message: string, fields: Readonly<Record<string, unknown>> = {}): Promise<LogLine> {
    const wanted = Object.entries({ ...fields, msg: message });
    let found: LogLine | undefined;
    await this.#until(() => {
      found = this.lines.find((line) => wanted.every(([key, value]) => line[key] === value));
      return found !== undefined;
    }, `the line "${message}"`);
    return found as LogLine;
  }

  /** Kills what is left of it, at once. */
  async kill(): Promise<void> {
    killGroup(this.child);
    await this.exited;
  }

  async #watch(): Promise<Exit> {
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    if (this.child.stderr === null) throw new Error('the child has no standard error');
    createInterface({ input: this.child.stderr }).on('line', (line) => this.#receive(line));
    const [code, signal] = await once(this.child, 'close');
    running.delete(this.child);
    const exit = { code, signal };
    this.#ended = exit;
    this.#changed();
    return exit;
  }

  #receive(line: string): void {
    this.#stderr += `${line}\n`;
    try {
      this.lines.push(JSON.parse(line) as LogLine);
    } catch {
      // Not a log line; `stderr` has it.
    }
    this.#changed();
  }

  #changed(): void {
    for (const look of this.#waiters) look();
  }

  #until(holds: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const give = (settle: () => void) => {
        clearTimeout(timer);
        this.#waiters.delete(look);
        settle();
      };
      const fail = (how: string) =>
        give(() => reject(new Error(`${how} before ${what}; it said:\n${this.#stderr}`)));
      const look = () => {
        if (holds()) give(resolve);
        else if (this.#ended !== undefined)
          fail(`the process ended ${JSON.stringify(this.#ended)}`);
      };
      const timer = setTimeout(() => fail(`${patienceMs} ms went by`), patienceMs);
      this.#waiters.add(look);
      look();
    });
  }
}

/** Runs the command to its end. */
export async function runCli(
  args: readonly string[],
  options?: CliOptions,
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const cli = new CliProcess(args, options);
  const tooLong = setTimeout(() => cli.child.kill('SIGKILL'), patienceMs);
  const { code } = await cli.exited;
  clearTimeout(tooLong);
  return { code, stdout: cli.stdout, stderr: cli.stderr };
}
