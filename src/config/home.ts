import { homedir, tmpdir } from 'node:os';

/**
 * node-llama-cpp asks for the home of the user when it is loaded, and fails where there is none: a container may run as a
 * user without a name.
 */
export function ensureHome(): void {
  try {
    if (homedir() !== '') return;
  } catch {
    // There is none.
  }
  process.env.HOME = tmpdir();
}
