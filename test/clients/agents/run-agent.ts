/** An agent of the command line in a folder of its own, with no way to the internet. */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../../support/start-server.ts';

const programs = join(import.meta.dirname, 'node_modules/.bin');

export interface AgentRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where an agent works, and where it keeps its settings and sessions. */
export class AgentHome {
  readonly home = temporaryFolder();
  readonly work = join(this.home, 'work');

  constructor() {
    mkdirSync(this.work);
  }

  /**
   * Runs a program of the packages to its end.
   * @param env - its settings; it receives nothing else but a `PATH`
   */
  run(
    program: string,
    args: readonly string[],
    env: Readonly<Record<string, string>>,
  ): Promise<AgentRun> {
    const child = spawn(join(programs, program), args, {
      cwd: this.work,
      env: {
        // The Node that is one of the packages comes first.
        PATH: `${programs}:${process.env.PATH ?? ''}`,
        HOME: this.home,
        ...offline,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      // Some are a launcher of the real program.
      detached: true,
    });
    const timer = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), patienceMs);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => {
        clearTimeout(timer);
        resolve({ code, stdout, stderr });
      });
    });
  }
}

const patienceMs = 240_000 * Number(process.env.TEST_PATIENCE || 1);

/** No proxy listens on this port: whatever is not this machine is out of reach at once. */
const nowhere = 'http://127.0.0.1:9';
const offline = {
  HTTP_PROXY: nowhere,
  HTTPS_PROXY: nowhere,
  http_proxy: nowhere,
  https_proxy: nowhere,
  NO_PROXY: '127.0.0.1,localhost',
  no_proxy: '127.0.0.1,localhost',
};
