/** The folders in which models are looked for and kept, by the variables that the programs they belong to have. */
import { join } from 'node:path';
import type { Environment } from './sources.ts';

/** Where models come from and are kept. */
export interface ModelPlaces {
  /** `MODELS_DIR`. */
  readonly modelsDir: string;
  readonly hubUrl: string;
  /** Undefined: that of {@link hubTokenFile}, if there is one. */
  readonly hubToken: string | undefined;
  /** Where the hub's own program keeps the token of whoever has logged in. */
  readonly hubTokenFile: string;
  readonly hubCache: string;
  /** Nothing is asked of the hub; the cache must do. */
  readonly offline: boolean;
  /** Files from URLs, by host and path. */
  readonly urlCache: string;
  /** Folders of other programs, which are only read. */
  readonly others: readonly OtherPlace[];
}

/** A folder of another program. */
export interface OtherPlace {
  readonly owner: string;
  readonly folder: string;
  /** Ollama keeps models as blobs, and their names in manifests. */
  readonly form: 'files' | 'ollama';
}

/** The settings that decide about places. */
export interface PlaceSettings {
  readonly MODELS_DIR?: string | undefined;
  readonly HF_TOKEN?: string | undefined;
  readonly HF_ENDPOINT?: string | undefined;
  readonly HF_HOME?: string | undefined;
  readonly HF_HUB_CACHE?: string | undefined;
  readonly HF_HUB_OFFLINE?: boolean;
}

export const defaultHubUrl = 'https://huggingface.co';

/** What places depend on beside the settings. */
export interface PlaceContext {
  readonly env: Environment;
  readonly dataDir: string;
  /** The home of a container is gone with it: caches belong into the data folder, which is a volume. */
  readonly inContainer: boolean;
}

export function modelPlaces(
  settings: PlaceSettings,
  { env, dataDir, inContainer }: PlaceContext,
): ModelPlaces {
  const home = env.HOME || dataDir;
  const ownCache = inContainer ? join(dataDir, 'cache') : join(home, '.cache');
  const cache = env.XDG_CACHE_HOME || ownCache;
  const hubHome = settings.HF_HOME ?? join(cache, 'huggingface');
  const files = (owner: string, folder: string): OtherPlace => ({ owner, folder, form: 'files' });
  const ollama = (folder: string): OtherPlace => ({ owner: 'Ollama', folder, form: 'ollama' });
  return {
    modelsDir: settings.MODELS_DIR ?? join(dataDir, 'models'),
    hubUrl: settings.HF_ENDPOINT ?? defaultHubUrl,
    hubToken: settings.HF_TOKEN,
    hubTokenFile: join(hubHome, 'token'),
    hubCache: settings.HF_HUB_CACHE ?? join(hubHome, 'hub'),
    offline: settings.HF_HUB_OFFLINE ?? false,
    urlCache: join(cache, 'llama-gguf-inference'),
    others: [
      files('llama.cpp', env.LLAMA_CACHE || join(cache, 'llama.cpp')),
      files('llama.cpp', join(home, 'Library/Caches/llama.cpp')),
      files('LM Studio', join(home, '.lmstudio/models')),
      files('LM Studio', join(home, '.cache/lm-studio/models')),
      ...(env.OLLAMA_MODELS ? [ollama(env.OLLAMA_MODELS)] : []),
      ollama(join(home, '.ollama/models')),
      ollama('/usr/share/ollama/.ollama/models'),
    ],
  };
}
