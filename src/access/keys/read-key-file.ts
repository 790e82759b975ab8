import { open } from 'node:fs/promises';

/** What a key file holds, and who may see it. */
export interface KeyFileContent {
  readonly text: string;
  /** What is wrong with its permissions. */
  readonly warnings: readonly string[];
}

/** More is no key file; ten thousand keys need a tenth of it. */
const largestFileBytes = 16 * 1024 * 1024;

/** @throws what the system says, or an error that names what the path is instead of a file */
export async function readKeyFile(path: string): Promise<KeyFileContent> {
  const file = await open(path, 'r');
  try {
    const status = await file.stat();
    if (!status.isFile()) throw new Error('it is not a file');
    if (status.size > largestFileBytes)
      throw new Error(`it is larger than ${largestFileBytes} bytes`);
    return { text: await file.readFile('utf8'), warnings: permissionWarnings(status.mode) };
  } finally {
    await file.close();
  }
}

/** @param mode - permission bits as `stat` gives them; Windows has none that mean this */
export function permissionWarnings(mode: number, platform = process.platform): string[] {
  const bits = mode & 0o777;
  if (platform === 'win32' || (bits & 0o077) === 0) return [];
  const verb = (bits & 0o022) === 0 ? 'read' : 'read or change';
  return [
    `others than its owner may ${verb} it (mode ${bits.toString(8).padStart(3, '0')}); chmod 600 is enough`,
  ];
}
