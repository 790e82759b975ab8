/** What the commands beside `serve` read of the environment. They read no other setting. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { chooseDataDirectory, keysFileName, usageFolderName } from './data-directory.ts';
import type { Environment } from './sources.ts';

interface Input {
  readonly env?: Environment;
  readonly pathExists?: (path: string) => boolean;
}

/** The key file of the `keys` command. */
export function keysFile({ env = process.env, pathExists = existsSync }: Input = {}): string {
  if (env.AUTH_KEYS_FILE) return env.AUTH_KEYS_FILE;
  const dataDir = env.DATA_DIR || chooseDataDirectory(undefined, pathExists, []);
  return join(dataDir, keysFileName);
}

/** The folder of the `usage` command. */
export function usageFolder({ env = process.env, pathExists = existsSync }: Input = {}): string {
  const modelName = env.MODEL_NAME || undefined;
  const dataDir = env.DATA_DIR || chooseDataDirectory(modelName, pathExists, []);
  return join(dataDir, usageFolderName);
}

/** API keys of the servers that `bench` measures: a command line is no place for a secret. */
export function benchKeys(env: Environment = process.env) {
  return { server: env.BENCH_API_KEY, peer: env.BENCH_PEER_API_KEY };
}
