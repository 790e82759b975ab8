import { join } from 'node:path';
import type { ConfigWarning } from './config-warning.ts';

/** The key file in the data folder. */
export const keysFileName = 'api_keys.txt';
/** The folder of usage ledgers in the data folder. */
export const usageFolderName = 'usage';

/** The folder of kept responses in the data folder. */
export const responsesFolderName = 'responses';

/**
 * The data folder where no setting names one. Rented GPU machines mount theirs in different places, and images contain
 * an empty `/data`, so the folder that holds the model, the keys or any models comes first.
 * @param own - the folder where there is none of them; outside a container also where they are empty
 */
export function chooseDataDirectory(
  modelName: string | undefined,
  pathExists: (path: string) => boolean,
  warnings: ConfigWarning[],
  { own, inContainer }: { readonly own: string; readonly inContainer: boolean },
): string {
  const folders = ['/data', '/runpod-volume', '/workspace'];
  const contents = [
    ...(modelName === undefined ? [] : [join('models', modelName)]),
    keysFileName,
    'models',
    'cache',
  ];
  for (const content of contents) {
    const folder = folders.find((each) => pathExists(join(each, content)));
    if (folder === undefined) continue;
    warnings.push({ level: 'info', message: `data folder ${folder} chosen, it holds ${content}` });
    return folder;
  }
  // The images have an empty /data; the others are there because somebody mounted them.
  const empty = inContainer ? ['/runpod-volume', '/workspace', '/data'] : [];
  const existing = empty.find((folder) => pathExists(folder));
  if (existing !== undefined) {
    warnings.push({ level: 'info', message: `data folder ${existing} chosen, it exists` });
  }
  return existing ?? own;
}
