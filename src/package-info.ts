import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

interface PackageFile {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

// The same relative paths from src/ and from dist/, wherever the package is installed.
const packageFile = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as PackageFile;

/** Version of this program. */
export const programVersion = packageFile.version;

/** The small chat model that comes with this program; an image may have been stripped of it. */
export const bundledModelPath = fileURLToPath(new URL('../models/tiny-chat.gguf', import.meta.url));

/** The one node-llama-cpp release the native addon fits. */
export const pinnedNodeLlamaCppVersion = packageFile.dependencies['node-llama-cpp'] ?? 'unknown';
