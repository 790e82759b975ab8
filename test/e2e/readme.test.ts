/**
 * Runs the shell blocks of the README that are marked with `<!-- test: NAME -->`, as they stand. Only
 * the environment says which model and which ports. The block `start` is started first and serves the
 * others; `npm ci` is taken as done, since it would replace the installation this test runs from.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type MarkedBlock, markedBlocks } from '../support/readme-blocks.ts';
import { temporaryFolder, tinyModelFile } from '../support/start-server.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const blocks = markedBlocks(readFileSync(join(root, 'README.md'), 'utf8'));
const startBlock = blocks.find(({ name }) => name === 'start');
const otherBlocks = blocks.filter(({ name }) => name !== 'start');

/** What the output of a block must say; one that is not listed must only succeed. */
const expectedOutputs: Readonly<Record<string, RegExp>> = {
  chat: /"object":\s*"chat\.completion"/,
  help: /--model-path/,
  bench: /Requests: 10 total, 10 success, 0 failed/,
};

/** Processes that run, each the leader of its own group. */
const children = new Set<ChildProcess>();
const killAll = () => {
  for (const { pid } of children) if (pid !== undefined) process.kill(-pid, 'SIGKILL');
};
afterAll(killAll);
process.on('exit', killAll);

describe('a shell block of the README', () => {
  let environment: Record<string, string>;

  beforeAll(async () => {
    environment = {
      PATH: `${folderWithNpm()}${delimiter}${process.env.PATH ?? ''}`,
      HOME: process.env.HOME ?? '',
      MODEL_PATH: tinyModelFile({ endTokenGain: 1 }),
      PORT: '0',
      PORT_HEALTH: '0',
      GPU: 'off',
      THREADS: '1',
    };
    if (startBlock === undefined) return;
    const { PORT, PORT_HEALTH } = await startServing(startBlock, environment);
    environment = { ...environment, PORT, PORT_HEALTH };
  });

  test('is there to start the server', () => {
    expect(startBlock?.script).toContain('npm start');
  });

  test.each(otherBlocks)('works as printed: $name', async (block) => {
    const child = runBlock(block, environment);
    let output = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    const [code] = await once(child, 'close');
    expect(code).toBe(0);
    expect(output).toMatch(expectedOutputs[block.name] ?? /^/);
  });
});

function runBlock({ script }: MarkedBlock, env: Record<string, string>): ChildProcess {
  const child = spawn('sh', ['-euc', script], {
    cwd: root,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

/** Runs the block until its log says `ready`; the answer is the ports it says. */
async function startServing(block: MarkedBlock, env: Record<string, string>) {
  const { stderr, stdout } = runBlock(block, env);
  if (stderr === null || stdout === null) throw new Error('the block has no output');
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
  return { PORT, PORT_HEALTH };
}

/** A folder whose `npm` does nothing for `npm ci` and is the real one for everything else. */
function folderWithNpm(): string {
  const folder = temporaryFolder();
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .find((each) => existsSync(join(each, 'npm')));
  const script = `#!/bin/sh\n[ "$1" = ci ] && exit 0\nexec "${path}/npm" "$@"\n`;
  writeFileSync(join(folder, 'npm'), script, { mode: 0o755 });
  return folder;
}
