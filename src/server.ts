import { once } from 'node:events';
import type { Config, ConfigWarning } from './config.ts';
import { Drain } from './drain.ts';
import type { Engine } from './engine/engine.ts';
import {
  createNativeEngine,
  DraftModelError,
  type SpeculativeOptions,
} from './engine/native-engine.ts';
import { type Listeners, openListeners } from './listeners.ts';
import type { Logger } from './log.ts';
import { type LoadedModel, loadModel } from './model/load.ts';
import { ModelRegistry } from './model/registry.ts';
import { type ModelSource, resolveDraftSource, resolveModelSource } from './model/source.ts';
import { createLoadProgress } from './progress.ts';
import { StartError } from './start-error.ts';

/** What a server is started with. */
export interface ServeOptions {
  readonly config: Config;
  readonly warnings: readonly ConfigWarning[];
  readonly logger: Logger;
  /** Aborts when the server is asked to stop; a load that is under way ends then too. */
  readonly stop: AbortSignal;
}

/**
 * Serves until `stop` aborts, then lets running requests finish and releases everything. Listens before
 * the model is loaded; a model file that cannot be served is refused before that.
 * @throws {StartError} when it cannot start or the engine fails
 */
export async function serve({ config, warnings, logger, stop }: ServeOptions): Promise<void> {
  requireSupportedAuthentication(config);
  for (const { level, message } of warnings) logger[level](message);
  warnAboutOpenDoors(config, logger);
  const source = resolveModelSource(config.model);
  const draftPath = config.engine.speculative?.draftModelPath;
  const draftSource =
    draftPath === undefined ? undefined : resolveDraftSource(config.model, draftPath);
  for (const { level, message } of source.notes) logger[level](message);

  const models = new ModelRegistry();
  const drain = new Drain();
  const listeners = await openListeners(config.server, { models, drain, logger });
  let running: RunningModel | undefined;
  try {
    running = await startModel(source, { config, draftSource, models, logger, stop });
    announce(running, listeners, source, logger);
    await Promise.race([running.failure, aborted(stop)]);
  } catch (error) {
    models.setFailed();
    // A load that was cut short by the stop is not a failure.
    if (!stop.aborted) throw error;
  } finally {
    const abortedCount = await drain.finish(stop.aborted ? config.server.drainTimeoutMs : 0);
    if (abortedCount > 0) logger.warn({ abortedCount }, 'running requests were aborted');
    await listeners.close();
    await running?.close();
  }
  logger.info('stopped');
}

interface RunningModel {
  readonly engine: Engine;
  /** Rejects when the engine can no longer work; never resolves. */
  readonly failure: Promise<never>;
  close(): Promise<void>;
}

async function startModel(
  source: ModelSource,
  deps: Pick<ServeOptions, 'config' | 'logger' | 'stop'> & {
    readonly draftSource: ModelSource | undefined;
    readonly models: ModelRegistry;
  },
): Promise<RunningModel> {
  const { config, draftSource, logger, stop, models } = deps;
  logger.info({ path: source.path, sizeBytes: source.sizeBytes }, 'loading model');
  const progress = createLoadProgress(logger);
  let loaded: LoadedModel;
  try {
    loaded = await loadModel(source, {
      model: config.model,
      engine: config.engine,
      draftSource,
      logger,
      signal: stop,
      onProgress: (ratio) => {
        models.setProgress(ratio);
        progress.update(ratio);
      },
    });
  } finally {
    progress.end();
  }
  try {
    const running = await startEngine(loaded, config);
    warnAboutGuessing(running.engine, config, logger);
    const { notes: _notes, ...found } = source;
    const { bosToken, eosToken } = loaded;
    models.setReady({
      card: {
        ...found,
        created: Math.floor(Date.now() / 1000),
        chatTemplate: config.engine.chatTemplate ?? loaded.chatTemplate,
        bosToken,
        eosToken,
      },
      engine: running.engine,
    });
    return running;
  } catch (error) {
    await loaded.dispose();
    throw error;
  }
}

async function startEngine(
  { model, draft, gpu, fit, threadCount, dispose }: LoadedModel,
  { engine: config }: Config,
): Promise<RunningModel> {
  let fail: (error: Error) => void = () => {};
  const failure = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  // Awaited only once the model is ready; a failure before that must not go unhandled.
  failure.catch(() => {});
  const options = {
    model,
    llamaGpu: gpu,
    slotCount: fit.slotCount,
    contextLength: fit.contextLength,
    kvTokenCount: fit.kvTokenCount,
    kvLayout: config.kvLayout,
    threadCount,
    batchSize: config.batchSize,
    ubatchSize: config.ubatchSize,
    stepTargetMs: config.stepTargetMs,
    flashAttention: config.flashAttention,
    cacheTypeK: config.cacheTypeK,
    cacheTypeV: config.cacheTypeV,
    speculative: speculativeOptions(config.speculative, draft),
    chatTemplate: config.chatTemplate,
    thinking: config.thinking,
    defaultMaxTokens: config.defaultMaxTokens,
    samplingDefaults: config.samplingDefaults,
    onFailure: (reason: string) => fail(new StartError(1, `the engine failed: ${reason}`)),
  };
  try {
    const engine = await createNativeEngine(options);
    return {
      engine,
      failure,
      close: async () => {
        await engine.close();
        await dispose();
      },
    };
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

function warnAboutGuessing({ info }: Engine, { engine }: Config, logger: Logger): void {
  if (info.notSpeculative === undefined) return;
  logger.warn(
    `SPECULATIVE=${engine.speculative?.kind} has no effect: the model ${info.notSpeculative}`,
  );
}

function announce(
  { engine }: RunningModel,
  { address }: Listeners,
  { id, bundled }: ModelSource,
  logger: Logger,
): void {
  const { backend, slotCount, contextLength, kvTokenCount, speculative } = engine.info;
  logger.info(
    {
      address,
      model: id,
      bundled,
      backend,
      slots: slotCount,
      context: contextLength,
      kvTokens: kvTokenCount,
      speculative,
    },
    'ready',
  );
}

/** Never serves without the protection that was asked for. */
function requireSupportedAuthentication({ auth }: Config): void {
  if (!auth.enabled) return;
  throw new StartError(
    2,
    'AUTH_ENABLED is on, but key authentication is not part of this version yet; pass ' +
      '--no-auth-enabled to serve without it',
  );
}

function warnAboutOpenDoors({ server: { host } }: Config, logger: Logger): void {
  const isLoopback = host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
  logger.warn(
    isLoopback
      ? 'authentication is off: every program on this machine can use the server'
      : `authentication is off and HOST is ${host}: everyone who reaches this machine can use the server`,
  );
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}
