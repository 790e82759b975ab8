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
import { createLoadProgress } from '../terminal/load-progress.ts';
import type { FoundModel, ModelSources } from './find-model.ts';
import type { Service } from './service.ts';

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

/** Begins to bring and load the model, and to start its engine after that. */
export function startModel(found: FoundModel, deps: ModelStartDeps): ModelStart {
  const { service, logger, stop } = deps;
  const sources = found.bring({ models: service.models, logger, stop });
  const loaded = sources.then((files) => load(files, deps));
  const running = run(sources, loaded, deps);
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
  finding: Promise<ModelSources>,
  loading: Promise<LoadedModel>,
  { config, service, logger }: ModelStartDeps,
): Promise<RunningModel> {
  const loaded = await loading;
  const { model: source } = await finding;
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
