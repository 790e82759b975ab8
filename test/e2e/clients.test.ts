/** The newest clients, each language by the one command that a developer has: see test/clients/README.md. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { isLong } from '../support/long.ts';

const runner = fileURLToPath(new URL('../clients/run.mjs', import.meta.url));

test.skipIf(!isLong).each(['js', 'python', 'agents'])(
  'the newest clients are served: %s',
  async (language) => {
    const child = spawn(process.execPath, [runner, language], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    const [code] = await once(child, 'close');
    expect(code, output).toBe(0);
  },
  600_000,
);
