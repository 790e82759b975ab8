/** What the commands beside `serve` read of the environment. They read no other setting. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { chooseDataDirectory, keysFileName, usageFolderName } from './data-directory.ts';
import { type ModelPlaces, modelPlaces } from './model-places.ts';
import type { Environment } from './sources.ts';
import { isContainer, ownDataFolder } from './surroundings.ts';

interface Input {
  readonly env?: Environment;
  readonly pathExists?: (path: string) => boolean;
}

function dataDirectory(
  modelName: string | undefined,
  { env, pathExists }: Required<Input>,
): string {
  const inContainer = isContainer(env, pathExists);
  const place = { own: ownDataFolder(env, inContainer), inContainer };
  return chooseDataDirectory(modelName, pathExists, [], place);
}

/** The key file of the `keys` command. */
export function keysFile({ env = process.env, pathExists = existsSync }: Input = {}): string {
  if (env.AUTH_KEYS_FILE) return env.AUTH_KEYS_FILE;
  const dataDir = env.DATA_DIR || dataDirectory(undefined, { env, pathExists });
  return join(dataDir, keysFileName);
}

/** The folder of the `usage` command. */
export function usageFolder({ env = process.env, pathExists = existsSync }: Input = {}): string {
  const modelName = env.MODEL_NAME || undefined;
  const dataDir = env.DATA_DIR || dataDirectory(modelName, { env, pathExists });
  return join(dataDir, usageFolderName);
}

/** Where the `models` command looks for models, and keeps them. */
export function commandPlaces({
  env = process.env,
  pathExists = existsSync,
}: Input = {}): ModelPlaces {
  const set = (name: string) => env[name] || undefined;
  const dataDir = env.DATA_DIR || dataDirectory(undefined, { env, pathExists });
  const settings = {
    MODELS_DIR: set('MODELS_DIR'),
    HF_TOKEN: set('HF_TOKEN'),
    HF_ENDPOINT: set('HF_ENDPOINT'),
    HF_HOME: set('HF_HOME'),
    HF_HUB_CACHE: set('HF_HUB_CACHE'),
    HF_HUB_OFFLINE: /^(1|true|yes|on)$/i.test(env.HF_HUB_OFFLINE ?? ''),
  };
  const inContainer = isContainer(env, pathExists);
  return modelPlaces(settings, { env, dataDir, inContainer });
}

/** API keys of the servers that `bench` measures: a command line is no place for a secret. */
export function benchKeys(env: Environment = process.env) {
  return { server: env.BENCH_API_KEY, peer: env.BENCH_PEER_API_KEY };
}
