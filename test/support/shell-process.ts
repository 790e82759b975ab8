/** Shell commands as a reader of the documentation types them, in the project's folder. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

export const projectFolder = fileURLToPath(new URL('../../', import.meta.url));

/** Processes that run, each the leader of its own group: `npm` has children. */
const children = new Set<ChildProcess>();
const killAll = () => {
  for (const { pid } of children) if (pid !== undefined) process.kill(-pid, 'SIGKILL');
};
afterAll(killAll);
process.on('exit', killAll);

/** Runs the script, with nothing but `env` in its environment; killed after the file's last test. */
export function runShell(script: string, env: Readonly<Record<string, string>>): ChildProcess {
  const child = spawn('sh', ['-euc', script], {
    cwd: projectFolder,
    env: { ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

/** Runs a script that serves until its log says `ready`; the answer is the ports it says, and the log. */
export async function startShellServer(script: string, env: Readonly<Record<string, string>>) {
  const { stderr, stdout } = runShell(script, env);
  if (stderr === null || stdout === null) throw new Error('the script has no output');
  stdout.resume();
  let log = '';
  for await (const line of createInterface({ input: stderr })) {
    log += `${line}\n`;
    if (line.startsWith('[gateway] ready ')) break;
  }
  stderr.resume();
  const [, PORT, PORT_HEALTH] =
    /\[gateway\] listening .*port=(\d+) healthPort=(\d+)/.exec(log) ?? [];
  if (PORT === undefined || PORT_HEALTH === undefined) throw new Error(`it did not serve:\n${log}`);
  return { PORT, PORT_HEALTH, log };
}
