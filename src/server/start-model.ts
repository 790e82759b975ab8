/** Loads the model, starts its engine and registers it, while the ports already answer. */
import type { Config } from '../config/config.ts';
import { StartError } from '../core/start-error.ts';
import type { Engine } from '../engine/engine.ts';
import type { SpeculativeOptions } from '../engine/engine-options.ts';
import { loadAddon, variantOf } from '../engine/load-addon.ts';
import {
  createEmbeddingEngine,
  createNativeEngine,
  DraftModelError,
} from '../engine/native-engine.ts';
import type { Logger } from '../log/log.ts';
import type { Backend } from '../model/backend.ts';
import { type LoadedModel, loadModel } from '../model/load.ts';
import { type ModelSource, resolveDraftSource, resolveModelSource } from '../model/source.ts';
import { createLoadProgress } from '../terminal/load-progress.ts';
import type { Service } from './service.ts';

/** The files of the model and of its draft model. */
export interface ModelSources {
  readonly model: ModelSource;
  readonly draft: ModelSource | undefined;
}

/**
 * Finds the files and reads their headers.
 * @throws {StartError} for a file that cannot be served
 */
export function resolveSources({ model: config, engine }: Config): ModelSources {
  const model = resolveModelSource(config);
  const path = engine.speculative?.draftModelPath;
  // A model without text generation needs no drafts.
  const needsDraft = path !== undefined && model.embedding.generates;
  return { model, draft: needsDraft ? resolveDraftSource(config, path) : undefined };
}

/** What a start depends on beside the files. */
export interface ModelStartDeps {
  readonly config: Config;
  readonly backend: Promise<Backend>;
  readonly service: Pick<Service, 'models' | 'metrics'>;
  readonly logger: Logger;
  /** Ends a load in progress. */
  readonly stop: AbortSignal;
}

/** A served model and its engine. */
export interface RunningModel {
  readonly engine: Engine;
  /** Rejects when the engine fails; never resolves. */
  readonly failure: Promise<never>;
  close(): Promise<void>;
}

/** A model on its way. Neither promise needs a listener. */
export interface ModelStart {
  /** Settles once the weights are in memory. */
  readonly loaded: Promise<unknown>;
  /** Settles once the model is registered. */
  readonly running: Promise<RunningModel>;
}

/** Begins to load the model, and to start its engine after that. */
export function startModel(sources: ModelSources, deps: ModelStartDeps): ModelStart {
  const loaded = load(sources, deps);
  const running = run(loaded, sources.model, deps);
  running.catch(() => {});
  return { loaded, running };
}

async function load(
  { model: source, draft: draftSource }: ModelSources,
  { config, backend, service, logger, stop }: ModelStartDeps,
): Promise<LoadedModel> {
  logger.info({ path: source.path, sizeBytes: source.sizeBytes }, 'loading model');
  const progress = createLoadProgress(logger);
  try {
    return await loadModel(source, {
      model: config.model,
      engine: config.engine,
      backend,
      loadAddon: (gpu) => loadAddon(variantOf(gpu)),
      draftSource,
      logger,
      signal: stop,
      onProgress: (ratio) => {
        service.models.setProgress(ratio);
        progress.update(ratio);
      },
    });
  } finally {
    progress.end();
  }
}

async function run(
  loading: Promise<LoadedModel>,
  source: ModelSource,
  { config, service, logger }: ModelStartDeps,
): Promise<RunningModel> {
  const loaded = await loading;
  try {
    const running = await startEngine(loaded, config, service, logger);
    const { engine } = running;
    warnAboutDisabledFeatures(engine, config, logger);
    const { notes: _notes, embedding: _embedding, ...found } = source;
    const { bosToken, eosToken } = loaded;
    const chatTemplate = config.engine.chatTemplate ?? loaded.chatTemplate;
    const created = Math.floor(Date.now() / 1000);
    service.models.setReady({
      card: { ...found, created, chatTemplate, bosToken, eosToken },
      engine,
    });
    return running;
  } catch (error) {
    await loaded.dispose();
    throw error;
  }
}

async function startEngine(
  loaded: LoadedModel,
  { engine: config }: Config,
  { metrics }: Pick<Service, 'metrics'>,
  logger: Logger,
): Promise<RunningModel> {
  let fail: (error: Error) => void = () => {};
  const failure = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  // `serve` awaits it only once the model is ready; an earlier failure must not go unhandled.
  failure.catch(() => {});
  const { model, draft, gpu, generates, embedding, fit, dispose } = loaded;
  const { threadCount, threadPoll, adaptsThreads, streamIntervalMs } = loaded;
  const options = {
    // Every setting of the engine, then the values that the load chose instead.
    ...config,
    ...fit,
    threadCount,
    threadPoll,
    adaptsThreads,
    streamIntervalMs,
    speculative: speculativeOptions(config.speculative, draft),
    model,
    llamaGpu: gpu,
    embedding,
    onInterToken: (ms: number) => metrics.observeInterToken(ms),
    onThreadsChanged: (now: number, before: number) => {
      const reason = now < before ? 'other processes want the cores' : 'the cores are free again';
      logger.info({ threadCount: now, previousThreadCount: before }, `compute threads: ${reason}`);
    },
    onFailure: (reason: string) => fail(new StartError(1, `the engine failed: ${reason}`)),
  };
  try {
    const engine = await (generates ? createNativeEngine(options) : createEmbeddingEngine(options));
    const close = async () => {
      await engine.close();
      await dispose();
    };
    return { engine, failure, close };
  } catch (cause) {
    if (cause instanceof DraftModelError) {
      const path = config.speculative?.draftModelPath;
      throw new StartError(2, `DRAFT_MODEL_PATH ${path} ${cause.problem}`, { cause });
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new StartError(1, `the engine could not start: ${reason}`, { cause });
  }
}

function speculativeOptions(
  config: Config['engine']['speculative'],
  draft: LoadedModel['draft'],
): SpeculativeOptions | undefined {
  if (config === undefined) return undefined;
  const { draftModelPath: _, ...options } = config;
  return { ...options, model: draft };
}

function warnAboutDisabledFeatures(
  { info }: Engine,
  { engine: { speculative } }: Config,
  logger: Logger,
): void {
  if (speculative !== undefined && info.speculative === undefined) {
    const reason = info.speculativeDisabledReason ?? 'continues no texts';
    logger.warn(`SPECULATIVE=${speculative.kind} has no effect: the model ${reason}`);
  }
  const reason = info.backgroundPrefillDisabledReason;
  if (reason !== undefined) logger.warn(`BACKGROUND_PREFILL has no effect: ${reason}`);
}
