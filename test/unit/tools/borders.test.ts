import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const script = join(root, 'scripts', 'check-borders.mjs');
/** A copy of the sources. It lies inside the project, so that packages are found. */
const copy = join(root, 'build', 'borders');

function check(folder: string): { readonly status: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, folder], {
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr };
}

function plant(file: string, line: string): void {
  appendFileSync(join(copy, file), `\n${line}\n`);
}

describe('the borders between rooms', () => {
  test('are kept by the sources', { timeout: 120_000 }, () => {
    expect(check(root)).toEqual({ status: 0, output: expect.anything() });
  });

  test('stop one wrong import of each kind', { timeout: 120_000 }, () => {
    rmSync(copy, { recursive: true, force: true });
    mkdirSync(copy, { recursive: true });
    for (const path of ['src', 'native/src', 'tsconfig.json']) {
      cpSync(join(root, path), join(copy, path), { recursive: true });
    }
    plant('src/core/errors.ts', "import type {} from '../config/table.ts';");
    plant('src/api/chat/chat-completions.ts', "import type {} from '../text/completions.ts';");
    plant('src/api/info/models.ts', "import type {} from '../../engine/event-queue.ts';");
    plant('src/http/cors.ts', "import type {} from '../api/info/models.ts';");
    plant('src/access/keys/secret.ts', "import {} from 'fastify';");
    plant('native/src/core/mailbox.h', '#include "engine/engine.h"');
    plant('src/model/fit.ts', "import {} from '../engine/native-engine.ts';");
    mkdirSync(join(copy, 'src', 'attic'));
    writeFileSync(join(copy, 'src', 'attic', 'attic.ts'), 'export {};\n');
    plant('src/cli.ts', "import {} from './attic/attic.ts';");
    const { status, output } = check(copy);
    expect(status).toBe(1);
    for (const rule of [
      'upward-from-core: src/core/errors.ts',
      'folder-cycle: src/core',
      'upward-in-api-from-chat: src/api/chat/chat-completions.ts',
      'inside-engine: src/api/info/models.ts',
      'private-engine: src/model/fit.ts',
      'http-knows-api: src/http/cors.ts',
      'package-fastify: src/access/keys/secret.ts',
      'unknown-room: src/cli.ts',
      'native/src/core/mailbox.h includes engine/',
    ]) {
      expect.soft(output).toContain(rule);
    }
    rmSync(copy, { recursive: true, force: true });
  });
});

/** How CMake compiles the files of a room, as CMake wrote it down when the addon was built. */
const commandsFile = join(root, 'build', 'native', 'compile_commands.json');

describe.skipIf(!existsSync(commandsFile))(
  'the include path of a room',
  { timeout: 120_000 },
  () => {
    interface Command {
      readonly file: string;
      readonly command: string;
    }

    /** Compiles a line as if it stood in a file of the room. */
    function compiles(room: string, line: string): boolean {
      const commands = JSON.parse(readFileSync(commandsFile, 'utf8')) as Command[];
      const ours = commands.find(({ file }) => file.includes(`/native/src/${room}/`));
      if (ours === undefined) throw new Error(`no file of ${room} was compiled`);
      // The folder may have been moved since.
      const builtIn = ours.file.slice(0, ours.file.indexOf('native/src/'));
      const command = ours.command.replaceAll(builtIn, root);
      // Words of these commands hold no blanks, but quotes of the shell.
      const flags = command.match(/-(?:isystem ?|I|std=)\S+/g)?.join(' ') ?? '';
      const { status } = spawnSync('sh', ['-c', `c++ ${flags} -fsyntax-only -x c++ -`], {
        input: `${line}\n`,
      });
      return status === 0;
    }

    test.each(['core', 'schedule'])('%s has neither llama.h nor napi.h', (room) => {
      expect(compiles(room, '#include <vector>')).toBe(true);
      expect(compiles(room, '#include "llama.h"')).toBe(false);
      expect(compiles(room, '#include <napi.h>')).toBe(false);
    });

    test('only node has napi.h', () => {
      expect(compiles('node', '#include <napi.h>')).toBe(true);
      expect(compiles('engine', '#include "llama.h"')).toBe(true);
      expect(compiles('engine', '#include <napi.h>')).toBe(false);
    });
  },
);
