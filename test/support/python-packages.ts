/** Python programs that tests use, from PyPI. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const buildDir = fileURLToPath(new URL('../../build/', import.meta.url));

/** A virtual environment, or why there is none on this machine. */
export type PythonPackages =
  | { readonly bin: string }
  | { readonly bin: undefined; readonly missing: string };

/**
 * Installs the packages of a requirements file into a virtual environment under `build/`, once for each content of the
 * file. `PYTHON` names the interpreter.
 */
export async function pythonPackages(requirements: string): Promise<PythonPackages> {
  const digest = createHash('sha256').update(readFileSync(requirements)).digest('hex');
  const folder = join(buildDir, 'python', digest.slice(0, 16));
  const bin = join(folder, 'bin');
  const isComplete = join(folder, 'complete');
  if (existsSync(isComplete)) return { bin };
  try {
    mkdirSync(folder, { recursive: true });
    await run(process.env.PYTHON ?? 'python3', ['-m', 'venv', '--clear', folder]);
    const pip = ['install', '--quiet', '--disable-pip-version-check', '--retries', '1'];
    await run(join(bin, 'pip'), [...pip, '-r', requirements]);
  } catch (error) {
    const { message } = error as Error;
    return { bin: undefined, missing: message.trim().split('\n').slice(0, 3).join(' ') };
  }
  writeFileSync(isComplete, '');
  return { bin };
}
