import { readFileSync } from 'node:fs';

interface PackageFile {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

// The same relative path from src/ and from dist/.
const packageFile = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as PackageFile;

/** Version of this program. */
export const programVersion = packageFile.version;

/** The one node-llama-cpp release the native addon fits. */
export const pinnedNodeLlamaCppVersion = packageFile.dependencies['node-llama-cpp'] ?? 'unknown';
