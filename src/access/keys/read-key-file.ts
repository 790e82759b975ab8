import { open } from 'node:fs/promises';

/** The content of a key file, and remarks about its permissions. */
export interface KeyFileContent {
  readonly text: string;
  /** Problems of its permissions. */
  readonly warnings: readonly string[];
}

/** Maximum size of a key file; ten thousand keys need a tenth of it. */
const maxFileBytes = 16 * 1024 * 1024;

/** @throws the error of the file system, or an error for a path that is not a file */
export async function readKeyFile(path: string): Promise<KeyFileContent> {
  const file = await open(path, 'r');
  try {
    const status = await file.stat();
    if (!status.isFile()) throw new Error('it is not a file');
    if (status.size > maxFileBytes) throw new Error(`it is larger than ${maxFileBytes} bytes`);
    return { text: await file.readFile('utf8'), warnings: permissionWarnings(status.mode) };
  } finally {
    await file.close();
  }
}

/** @param mode - permission bits of `stat`; they have no such meaning on Windows */
export function permissionWarnings(mode: number, platform = process.platform): string[] {
  const bits = mode & 0o777;
  if (platform === 'win32' || (bits & 0o077) === 0) return [];
  const verb = (bits & 0o022) === 0 ? 'read' : 'read or change';
  return [
    `others than its owner may ${verb} it (mode ${bits.toString(8).padStart(3, '0')}); chmod 600 is enough`,
  ];
}
