import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeySource } from '../access/keys/key-source.ts';
import { FallbackStore } from '../access/limits/fallback-store.ts';
import { restoreQuotas } from '../access/limits/key-meter.ts';
import type { LimitStore } from '../access/limits/limit-store.ts';
import { MemoryStore } from '../access/limits/memory-store.ts';
import { Ledger } from '../access/usage/ledger.ts';
import { Admission } from '../admission/admission.ts';
import { Drain } from '../admission/drain.ts';
import { inputSlotCount } from '../api/vectors/input-work.ts';
import type { Config } from '../config/config.ts';
import type { ConfigWarning } from '../config/config-warning.ts';
import { settingsReport } from '../config/settings-report.ts';
import { programVersion } from '../core/package-info.ts';
import { StartError } from '../core/start-error.ts';
import type { Engine } from '../engine/engine.ts';
import type { SpeculativeOptions } from '../engine/engine-options.ts';
import {
  createEmbeddingEngine,
  createNativeEngine,
  DraftModelError,
} from '../engine/native-engine.ts';
import type { Logger } from '../log/log.ts';
import type { LogOutput } from '../log/log-output.ts';
import type { Backend } from '../model/backend.ts';
import { type LoadedModel, loadModel } from '../model/load.ts';
import { ModelRegistry } from '../model/registry.ts';
import { type ModelSource, resolveDraftSource, resolveModelSource } from '../model/source.ts';
import { AccessLog } from '../observe/access-log.ts';
import { EngineWatch } from '../observe/engine-watch.ts';
import { Metrics } from '../observe/metrics/metrics.ts';
import type { Tracing } from '../observe/trace/tracing.ts';
import { createLoadProgress } from '../terminal/load-progress.ts';
import { type ApiListener, openApiListener } from './api-listener.ts';
import type { GatewayDeps } from './gateway.ts';
import { openHealthListener } from './health-server.ts';
import { type ServiceState, serviceStateOf } from './service-state.ts';
import type { SupervisorLink } from './supervisor/link.ts';

/** How long after the load has begun the ports are opened at the latest, so that clients hear how far it is. */
const listenAfterMs = 500;

/** What a server is started with. */
export interface ServeOptions {
  readonly config: Config;
  readonly warnings: readonly ConfigWarning[];
  readonly log: LogOutput;
  /** On its way to being opened: that takes as long as everything before the model is loaded. */
  readonly backend: Promise<Backend>;
  /** Aborts when the server is asked to stop; a load that is under way ends then too. */
  readonly stop: AbortSignal;
  /** Who owns the health port; undefined where this is the only process. */
  readonly supervisor?: SupervisorLink | undefined;
}

/**
 * Serves until `stop` aborts, then lets running requests finish and releases everything. Listens while
 * the model is loaded; a model file that cannot be served is refused before that.
 * @throws {StartError} when it cannot start or the engine fails
 */
export async function serve(options: ServeOptions): Promise<void> {
  const { config, warnings, log, backend, stop, supervisor } = options;
  const { logger } = log;
  for (const { level, message } of warnings) logger[level](message);
  logger.info(settingsReport(config), 'settings');
  if (!config.auth.enabled) warnAboutOpenDoors(config, logger);
  const source = resolveModelSource(config.model);
  const draftSource = draftSourceOf(config, source);
  for (const { level, message } of source.notes) logger[level](message);

  const keys = config.auth.enabled ? await openKeys(config.auth, logger) : undefined;
  const limitStore = keys && (await openLimits(config.auth, logger));
  const ledger = await openLedger(config.ledger, logger);
  // A Redis remembers by itself.
  if (limitStore instanceof MemoryStore && ledger !== undefined) {
    await restoreQuotas(limitStore, await ledger.readAll());
  }
  const stopReloading = reloadWhenAsked(keys, logger);
  const models = new ModelRegistry();
  const drain = new Drain();
  const admission = new Admission(config.server.queue, () => slotCountOf(models));
  const inputAdmission = new Admission(config.server.queue, () => inputSlotCount);
  const watch = new EngineWatch(models, config.supervision.watchdogTimeoutMs);
  const metrics = new Metrics({
    models,
    watch,
    admission,
    modelName: source.id,
    version: programVersion,
    restartCount: supervisor?.start.restartCount ?? 0,
    watchProcess: true,
  });
  const state = () => serviceStateOf({ models, drain, watch });
  const tellState = async () => supervisor?.report(state());
  const tracing = await openTracing(config.tracesEndpoint, models);
  const deps = {
    models,
    drain,
    admission,
    inputAdmission,
    metrics,
    observers: [...accessLogOf(config.log, log), ...(tracing === undefined ? [] : [tracing])],
    logger,
    ledger,
    authentication: keys && { ...config.auth, keys, limitStore },
    settings: config.server,
    version: programVersion,
  };
  const noPort = new AbortController();
  const loading = loadSource(source, {
    config,
    backend,
    draftSource,
    models,
    logger,
    stop: AbortSignal.any([stop, noPort.signal]),
  });
  const starting = startModel(loading, source, { config, models, metrics, logger });
  // A failure is heard once the ports are open, or not at all where they cannot be.
  starting.catch(() => {});
  // A small model is in memory at once, and its engine sets itself up on another core while the ports are opened.
  await settledWithin(loading, listenAfterMs);
  const listeners = await openListeners(options, deps, state).catch(async (error) => {
    noPort.abort();
    await settled(starting.then((started) => started.close()));
    throw error;
  });
  supervisor?.setPort(listeners.api.port);
  const watching = setInterval(() => {
    watch.look();
    void tellState();
  }, watch.intervalMs);
  let running: RunningModel | undefined;
  try {
    await tellState();
    running = await starting;
    // Who reads `ready` may ask the health port.
    await tellState();
    announce(running, listeners.api, source, logger);
    await log.beginService();
    await Promise.race([running.failure, aborted(stop)]);
  } catch (error) {
    models.setFailed();
    // A load that was cut short by the stop is not a failure.
    if (!stop.aborted) throw error;
  } finally {
    const draining = drain.finish(stop.aborted ? config.server.drainTimeoutMs : 0);
    void tellState();
    const abortedCount = await draining;
    if (abortedCount > 0) logger.warn({ abortedCount }, 'running requests were aborted');
    await listeners.close();
    await running?.close();
    clearInterval(watching);
    stopReloading();
    await tracing?.close();
    await limitStore?.close();
    await ledger?.close();
  }
  logger.info('stopped');
}

/** Opens the API port, and the health port unless the supervisor has opened it. */
async function openListeners(
  { config: { server }, supervisor }: ServeOptions,
  deps: Omit<GatewayDeps, 'tls'>,
  state: () => ServiceState,
) {
  const health = supervisor === undefined ? await openHealthListener(server, state) : undefined;
  const healthPort = health?.port ?? supervisor?.start.healthPort ?? 0;
  try {
    const { host, tls } = server;
    const port = supervisor?.start.port ?? server.port;
    const api = await openApiListener({ host, port, tls }, healthPort, deps);
    const close = async () => {
      await api.close();
      await health?.close();
    };
    return { api, close };
  } catch (error) {
    await health?.close();
    throw error;
  }
}

function accessLogOf({ access, format }: Config['log'], log: LogOutput): AccessLog[] {
  return access ? [new AccessLog({ logger: log.logger, format, file: log.accessFile })] : [];
}

interface RunningModel {
  readonly engine: Engine;
  /** Rejects when the engine can no longer work; never resolves. */
  readonly failure: Promise<never>;
  close(): Promise<void>;
}

async function loadSource(
  source: ModelSource,
  deps: Pick<ServeOptions, 'config' | 'backend' | 'stop'> & {
    readonly draftSource: ModelSource | undefined;
    readonly logger: Logger;
    readonly models: ModelRegistry;
  },
): Promise<LoadedModel> {
  const { config, backend, draftSource, logger, stop, models } = deps;
  logger.info({ path: source.path, sizeBytes: source.sizeBytes }, 'loading model');
  const progress = createLoadProgress(logger);
  try {
    return await loadModel(source, {
      model: config.model,
      engine: config.engine,
      backend,
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
}

/** Starts an engine on a model as soon as that is loaded, and registers it. */
async function startModel(
  loading: Promise<LoadedModel>,
  source: ModelSource,
  deps: Pick<ServeOptions, 'config'> & {
    readonly logger: Logger;
    readonly models: ModelRegistry;
    readonly metrics: Metrics;
  },
): Promise<RunningModel> {
  const { config, logger, models, metrics } = deps;
  const loaded = await loading;
  try {
    const running = await startEngine(loaded, config, metrics);
    warnAboutGuessing(running.engine, config, logger);
    warnAboutLane(running.engine, logger);
    const { notes: _notes, embedding: _embedding, ...found } = source;
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
  loaded: LoadedModel,
  { engine: config }: Config,
  metrics: Metrics,
): Promise<RunningModel> {
  let fail: (error: Error) => void = () => {};
  const failure = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  // Awaited only once the model is ready; a failure before that must not go unhandled.
  failure.catch(() => {});
  const { model, draft, gpu, generates, embedding, fit, dispose } = loaded;
  const { threadCount, threadPoll, streamIntervalMs } = loaded;
  const options = {
    // Every setting of the engine, then what the load has chosen instead.
    ...config,
    ...fit,
    threadCount,
    threadPoll,
    streamIntervalMs,
    speculative: speculativeOptions(config.speculative, draft),
    model,
    llamaGpu: gpu,
    embedding,
    onInterToken: (ms: number) => metrics.observeInterToken(ms),
    onFailure: (reason: string) => fail(new StartError(1, `the engine failed: ${reason}`)),
  };
  try {
    const engine = await (generates ? createNativeEngine(options) : createEmbeddingEngine(options));
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

/** A model that continues no texts has nothing to guess for. */
function draftSourceOf(
  { model, engine }: Config,
  { embedding }: ModelSource,
): ModelSource | undefined {
  const path = engine.speculative?.draftModelPath;
  if (path === undefined || !embedding.generates) return undefined;
  return resolveDraftSource(model, path);
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
  if (engine.speculative === undefined || info.speculative !== undefined) return;
  const reason = info.speculativeDisabledReason ?? 'continues no texts';
  logger.warn(`SPECULATIVE=${engine.speculative.kind} has no effect: the model ${reason}`);
}

function warnAboutLane({ info }: Engine, logger: Logger): void {
  const reason = info.backgroundPrefillDisabledReason;
  if (reason !== undefined) logger.warn(`BACKGROUND_PREFILL has no effect: ${reason}`);
}

function announce(
  { engine }: RunningModel,
  { address }: ApiListener,
  { id, bundled }: ModelSource,
  logger: Logger,
): void {
  const { backend, slotCount, contextLength, kvTokenCount, speculative, backgroundPrefill } =
    engine.info;
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
      promptLane: backgroundPrefill,
    },
    'ready',
  );
}

/** A file without keys does not keep the server from starting, but lets nobody in. */
async function openKeys(
  { keysFile, adminKeyIds }: Config['auth'],
  logger: Logger,
): Promise<KeySource> {
  const keys = new KeySource({ path: keysFile, adminKeyIds, logger });
  await keys.open();
  return keys;
}

/** Opened also where the Redis cannot be reached: it may come back. */
async function openLimits({ redisUrl }: Config['auth'], logger: Logger): Promise<LimitStore> {
  const own = new MemoryStore();
  if (redisUrl === undefined) return own;
  // Only now: nobody else needs the client.
  const { RedisStore } = await import('../access/limits/redis-store.ts');
  const onError = (error: Error) => logger.debug({ err: error }, 'redis cannot be reached');
  return new FallbackStore(await RedisStore.open(redisUrl, onError), own, logger);
}

async function openTracing(
  endpoint: string | undefined,
  models: ModelRegistry,
): Promise<Tracing | undefined> {
  if (endpoint === undefined) return undefined;
  // Only now: nobody else needs the exporter.
  const { Tracing } = await import('../observe/trace/tracing.ts');
  return new Tracing({ endpoint, models, version: programVersion });
}

/** A folder that cannot be written, such as one mounted for its models alone, does not keep it from serving. */
async function openLedger(place: Config['ledger'], logger: Logger): Promise<Ledger | undefined> {
  if (place === undefined) {
    logger.info('usage is not recorded: USAGE_LEDGER is off or there is no data folder');
    return undefined;
  }
  try {
    const ledger = await Ledger.open(place, logger);
    logger.info({ ...place }, 'usage is recorded');
    return ledger;
  } catch (error) {
    logger.error({ err: error, ...place }, 'usage is not recorded: its ledger cannot be opened');
    return undefined;
  }
}

/**
 * Reads the keys again on SIGHUP and when their file changes. SIGHUP would end the process otherwise: that
 * is right only for a terminal that closes over a server without keys.
 * @returns what ends it
 */
function reloadWhenAsked(keys: KeySource | undefined, logger: Logger): () => void {
  if (keys === undefined && process.stdin.isTTY) return () => {};
  const onHangup = () => {
    logger.info(
      keys === undefined ? 'SIGHUP: there are no keys to reload' : 'SIGHUP: reloading keys',
    );
    // What is wrong with the file has been logged.
    keys?.load().catch(() => {});
  };
  process.on('SIGHUP', onHangup);
  const unwatch = keys?.watch();
  return () => {
    process.off('SIGHUP', onHangup);
    unwatch?.();
  };
}

function warnAboutOpenDoors({ server: { host }, auth }: Config, logger: Logger): void {
  if (auth.protectedMetrics) {
    logger.warn('METRICS_AUTH_ENABLED has no effect while authentication is off');
  }
  const isLoopback = host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
  logger.warn(
    isLoopback
      ? 'authentication is off: every program on this machine can use the server'
      : `authentication is off and HOST is ${host}: everyone who reaches this machine can use the server`,
  );
}

/** Before there is a model nobody is let in. */
function slotCountOf({ current }: ModelRegistry): number {
  return current?.engine.info.slotCount ?? 0;
}

/** However it ends; who needs to know hears it elsewhere. */
async function settled(promise: Promise<unknown>): Promise<void> {
  await promise.catch(() => {});
}

async function settledWithin(promise: Promise<unknown>, ms: number): Promise<void> {
  const timer = new AbortController();
  const elapsed = sleep(ms, undefined, { signal: timer.signal });
  await Promise.race([settled(promise), settled(elapsed)]);
  timer.abort();
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}
