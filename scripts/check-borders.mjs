/**
 * Checks the borders between rooms: of src/ by dependency-cruiser and the rules in borders.config.mjs, of native/src by
 * the directions below. Prints every wrong import and exits with 1 when there is one.
 *
 *   node scripts/check-borders.mjs [FOLDER]     FOLDER has src/ and native/src; default: the project
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What each room of native/src may include beside itself. CMake keeps llama.h and napi.h from core and schedule. */
const includes = {
  core: [],
  schedule: ['core'],
  llama: ['core', 'schedule'],
  kernels: ['core'],
  grammar: ['core'],
  chat: ['core', 'llama', 'grammar'],
  engine: ['core', 'schedule', 'llama', 'chat'],
  node: ['core', 'schedule', 'llama', 'kernels', 'chat', 'engine'],
};

const project = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = process.argv[2] ?? project;
const problems = wrongIncludes(join(folder, 'native', 'src'));
for (const problem of problems) console.error(problem);
const cruiser = join(project, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs');
const { status } = spawnSync(
  process.execPath,
  [cruiser, 'src', '--config', join(project, 'borders.config.mjs'), '--output-type', 'err'],
  { cwd: folder, stdio: 'inherit' },
);
process.exitCode = problems.length > 0 || status !== 0 ? 1 : 0;

/** @returns a sentence for each include that its room may not have */
function wrongIncludes(sourceDir) {
  return Object.entries(includes).flatMap(([room, allowed]) =>
    readdirSync(join(sourceDir, room)).flatMap((file) =>
      [...readFileSync(join(sourceDir, room, file), 'utf8').matchAll(/^#include "(\w+)\//gm)]
        .map(([, other]) => other)
        .filter((other) => other !== room && other in includes && !allowed.includes(other))
        .map(
          (other) =>
            `error: native/src/${room}/${file} includes ${other}/: ${room} may include ${allowed.join(', ') || 'no other room'}`,
        ),
    ),
  );
}
