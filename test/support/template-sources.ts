/** The chat templates that llama.cpp's source carries, read from its repository in `build/llama.cpp`. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../../build/llama.cpp', import.meta.url));

function git(...args: readonly string[]): string {
  return execFileSync('git', ['-C', source, ...args], { encoding: 'utf8', maxBuffer: 2 ** 26 });
}

/** The families' names: the names of the files without their ending. */
export function templateNames(): readonly string[] {
  return git('ls-tree', '--name-only', 'HEAD', 'models/templates/')
    .split('\n')
    .filter((path) => path.endsWith('.jinja'))
    .map((path) => path.slice('models/templates/'.length, -'.jinja'.length));
}

/** The Jinja text of a family's template. */
export function templateSource(name: string): string {
  return git('show', `HEAD:models/templates/${name}.jinja`);
}
