/** Keys of the environment, where a container has no file that it may write. */
import { type KeyFile, parseKeyFile } from './key-file.ts';
import { hashPrefix } from './secret.ts';

/**
 * Reads `KEY`, `NAME:KEY` and `NAME:sha256:HEX`, with commas between; limits may follow as on a line of the key file.
 * Keys without a name are `env-1`, `env-2` and so on, by their place.
 */
export function readEnvironmentKeys(text: string): KeyFile {
  const lines = text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
    .map((entry, index) => (hasName(entry) ? entry : `env-${index + 1}:${entry}`));
  return parseKeyFile(lines.join('\n'));
}

function hasName(entry: string): boolean {
  return entry.includes(':') && !entry.startsWith(hashPrefix);
}
