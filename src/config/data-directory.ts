import { join } from 'node:path';
import type { ConfigWarning } from './sources.ts';

/**
 * The data folder of a machine that names none: rented GPU machines mount theirs in different places,
 * and images may contain an empty `/data`, so one that holds something of ours comes first.
 */
export function chooseDataDirectory(
  modelName: string | undefined,
  pathExists: (path: string) => boolean,
  warnings: ConfigWarning[],
): string {
  const folders = ['/data', '/runpod-volume', '/workspace'];
  const contents = [
    ...(modelName === undefined ? [] : [join('models', modelName)]),
    'models',
    'api_keys.txt',
  ];
  for (const folder of folders) {
    const content = contents.find((entry) => pathExists(join(folder, entry)));
    if (content === undefined) continue;
    warnings.push({ level: 'info', message: `data folder ${folder} chosen, it holds ${content}` });
    return folder;
  }
  const existing = folders.find((folder) => pathExists(folder));
  if (existing !== undefined) {
    warnings.push({ level: 'info', message: `data folder ${existing} chosen, it exists` });
  }
  return existing ?? '/data';
}
