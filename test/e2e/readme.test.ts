/**
 * Runs the shell blocks of the README that are marked with `<!-- test: NAME -->`, as they stand. Only
 * the environment says which ports. The block `start` is started first and serves the others; `npm ci`
 * is taken as done, since it would replace the installation this test runs from.
 */
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { markedBlocks } from '../support/readme-blocks.ts';
import { projectFolder, runShell, startShellServer } from '../support/shell-process.ts';
import { temporaryFolder } from '../support/start-server.ts';

const blocks = markedBlocks(readFileSync(join(projectFolder, 'README.md'), 'utf8'));
const startBlock = blocks.find(({ name }) => name === 'start');
const otherBlocks = blocks.filter(({ name }) => name !== 'start');

/** What the output of a block must say; one that is not listed must only succeed. */
const expectedOutputs: Readonly<Record<string, RegExp>> = {
  help: /--model-path/,
  bench: /Requests: 10 total, 10 success, 0 failed/,
};

describe('a shell block of the README', () => {
  let environment: Record<string, string>;

  beforeAll(async () => {
    environment = {
      PATH: `${folderWithNpm()}${delimiter}${process.env.PATH ?? ''}`,
      HOME: process.env.HOME ?? '',
      PORT: '0',
      PORT_HEALTH: '0',
      GPU: 'off',
      THREADS: '1',
    };
    if (startBlock === undefined) return;
    const { PORT, PORT_HEALTH } = await startShellServer(startBlock.script, environment);
    environment = { ...environment, PORT, PORT_HEALTH };
  });

  test('is there to start the server', () => {
    expect(startBlock?.script).toContain('npm start');
  });

  test.each(otherBlocks)('works as printed: $name', async (block) => {
    const child = runShell(block.script, environment);
    let output = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    const [code] = await once(child, 'close');
    expect(code).toBe(0);
    expect(output).toMatch(expectedOutputs[block.name] ?? /^/);
    if (block.reply !== undefined) {
      expect(JSON.parse(output)).toMatchObject(likePrinted(block.reply));
    }
  });
});

/** The printed answer, apart from what another training of the bundled model may change. */
function likePrinted(reply: string): object {
  return JSON.parse(reply, (key, value) => {
    if (key === 'content') return expect.stringMatching(/./);
    return typeof value === 'number' ? expect.any(Number) : value;
  });
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
