import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface PackageFile {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** The folder of package.json. This module lies in src/core/, or is part of a file in dist/. */
const packageFolder = nearestPackageFolder(dirname(fileURLToPath(import.meta.url)));

/** The absolute path of a file of this package. */
export function packagePath(path: string): string {
  return join(packageFolder, path);
}

function nearestPackageFolder(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : nearestPackageFolder(dirname(folder));
}

const packageFile = JSON.parse(readFileSync(packagePath('package.json'), 'utf8')) as PackageFile;

/** Version of this program. */
export const programVersion = packageFile.version;

/** The small chat model that comes with this program; an image may lack it. */
export const bundledModelPath = packagePath('models/tiny-chat.gguf');

/** The node-llama-cpp release for which the native addon is built. */
export const pinnedNodeLlamaCppVersion = packageFile.dependencies['node-llama-cpp'] ?? 'unknown';
