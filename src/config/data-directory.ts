import { join } from 'node:path';
import type { ConfigWarning } from './sources.ts';

/**
 * The data folder of a machine that names none: rented GPU machines mount theirs in different places,
 * and images contain an empty `/data`, so the one that holds what is asked for comes first.
 */
export function chooseDataDirectory(
  modelName: string | undefined,
  pathExists: (path: string) => boolean,
  warnings: ConfigWarning[],
): string {
  const folders = ['/data', '/runpod-volume', '/workspace'];
  const contents = [
    ...(modelName === undefined ? [] : [join('models', modelName)]),
    'api_keys.txt',
    'models',
  ];
  for (const content of contents) {
    const folder = folders.find((each) => pathExists(join(each, content)));
    if (folder === undefined) continue;
    warnings.push({ level: 'info', message: `data folder ${folder} chosen, it holds ${content}` });
    return folder;
  }
  const existing = folders.find((folder) => pathExists(folder));
  if (existing !== undefined) {
    warnings.push({ level: 'info', message: `data folder ${existing} chosen, it exists` });
  }
  return existing ?? '/data';
}
