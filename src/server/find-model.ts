/** The files of the model that the settings name, which may have to come from elsewhere first. */
import type { Config } from '../config/config.ts';
import { inGigabytes } from '../hub/download.ts';
import { locateModel } from '../hub/locate-model.ts';
import type { LocatedModel } from '../hub/located-model.ts';
import type { Logger } from '../log/log.ts';
import type { ModelRegistry } from '../model/registry.ts';
import { type ModelSource, resolveDraftSource, resolveModelSource } from '../model/source.ts';
import { createLoadProgress } from '../terminal/load-progress.ts';

/** The files of the model and of its draft model. */
export interface ModelSources {
  readonly model: ModelSource;
  readonly draft: ModelSource | undefined;
}

/** A model that is on this machine, or is known to be somewhere else. */
export interface FoundModel {
  /** The id that clients see. */
  readonly id: string;
  /** Undefined until {@link bring} has brought the files. */
  readonly sources: ModelSources | undefined;
  /** Downloads what is missing, and reads the headers of the files. */
  readonly bring: (watch: BringWatch) => Promise<ModelSources>;
}

export interface BringWatch {
  readonly models: ModelRegistry;
  readonly logger: Logger;
  readonly stop: AbortSignal;
}

/**
 * Finds the model. Asks the hub where the settings name a repository of it, and downloads nothing.
 * @param restartCount - a server that starts again serves what it served, whatever the hub has by then
 * @throws {StartError} for a model that there is not, and for a file that is here and cannot be served
 */
export async function findModel(
  config: Config,
  restartCount: number,
  stop: AbortSignal,
): Promise<FoundModel> {
  const { reference, places } = config.model;
  if (reference === undefined) return onThisMachine(config);
  const prefersCache = restartCount > 0;
  const located = await locateModel(reference, places, { signal: stop, prefersCache });
  const { path } = located;
  if (path !== undefined) return onThisMachine(withFile(config, located, path));
  return {
    id: config.model.alias ?? located.name,
    sources: undefined,
    bring: async (watch) => {
      const brought = await download(located, watch);
      return resolveSources(withFile(config, located, brought));
    },
  };
}

function onThisMachine(config: Config): FoundModel {
  const sources = resolveSources(config);
  return { id: sources.model.id, sources, bring: async () => sources };
}

/** The settings of a model that is this file. Its name is not always the file's: Ollama's are hashes. */
function withFile(config: Config, { name }: LocatedModel, path: string): Config {
  const { model } = config;
  return { ...config, model: { ...model, path, name: undefined, alias: model.alias ?? name } };
}

/** @throws {StartError} for a file that cannot be served */
function resolveSources({ model: config, engine }: Config): ModelSources {
  const model = resolveModelSource(config);
  const path = engine.speculative?.draftModelPath;
  // A model without text generation needs no drafts.
  const needsDraft = path !== undefined && model.embedding.generates;
  return { model, draft: needsDraft ? resolveDraftSource(config, path) : undefined };
}

async function download(
  located: LocatedModel,
  { models, logger, stop }: BringWatch,
): Promise<string> {
  const { origin, sizeBytes } = located;
  const size = sizeBytes > 0 ? { size: inGigabytes(sizeBytes) } : {};
  logger.info({ origin, ...size }, 'downloading model');
  models.setDownloading(0);
  const progress = createLoadProgress(logger, process.stderr, Date.now, 'downloading model');
  const began = performance.now();
  let firstBytes: number | undefined;
  try {
    const path = await located.fetch({
      signal: stop,
      onProgress: (doneBytes, totalBytes) => {
        // What an earlier start has left is no speed of this one.
        firstBytes ??= doneBytes;
        const ratio = totalBytes === 0 ? 0 : doneBytes / totalBytes;
        const seconds = (performance.now() - began) / 1000;
        const speed = ((doneBytes - firstBytes) / 1e6 / seconds).toFixed(0);
        const total = totalBytes === 0 ? '' : ` of ${inGigabytes(totalBytes)}`;
        models.setDownloading(ratio);
        progress.update(ratio, `${inGigabytes(doneBytes)}${total}, ${speed} MB/s`);
      },
      onNote: (note) => {
        progress.end();
        logger.warn(`download: ${note}`);
      },
    });
    progress.end();
    const seconds = Math.round((performance.now() - began) / 1000);
    logger.info({ path, seconds }, 'model downloaded');
    return path;
  } finally {
    progress.end();
  }
}
