import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

interface PackageFile {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** A file of this package, wherever that is installed: this one lies in src/ or is part of one in dist/. */
export function packagePath(path: string): string {
  return fileURLToPath(new URL(`../${path}`, import.meta.url));
}

const packageFile = JSON.parse(readFileSync(packagePath('package.json'), 'utf8')) as PackageFile;

/** Version of this program. */
export const programVersion = packageFile.version;

/** The small chat model that comes with this program; an image may have been stripped of it. */
export const bundledModelPath = packagePath('models/tiny-chat.gguf');

/** The one node-llama-cpp release the native addon fits. */
export const pinnedNodeLlamaCppVersion = packageFile.dependencies['node-llama-cpp'] ?? 'unknown';
