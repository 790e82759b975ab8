/** The composition root: what a gateway process opens, starts, announces, drains and closes. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import type { ConfigWarning } from '../config/config-warning.ts';
import { settingsReport } from '../config/settings-report.ts';
import { programVersion } from '../core/package-info.ts';
import type { Engine } from '../engine/engine.ts';
import type { Logger } from '../log/log.ts';
import type { LogOutput } from '../log/log-output.ts';
import type { Backend } from '../model/backend.ts';
import type { ModelCard } from '../model/registry.ts';
import { banner, reachable } from '../terminal/banner.ts';
import { findModel } from './find-model.ts';
import { openListeners } from './listeners.ts';
import { openAccess } from './open-access.ts';
import { openResponses } from './open-responses.ts';
import { createService, type Service, type StateReports, startReports } from './service.ts';
import { type RunningModel, startModel } from './start-model.ts';
import type { SupervisorLink } from './supervisor/link.ts';
import { openCertificate } from './tls-certificate.ts';

/** Maximum time between the begin of the load and the open ports, which report the progress of the load. */
const maxSilenceMs = 500;

/** What a server is started with. */
export interface ServeOptions {
  readonly config: Config;
  readonly warnings: readonly ConfigWarning[];
  readonly log: LogOutput;
  /** Opening a backend takes as long as everything before the load, so the caller begins it. */
  readonly backend: Promise<Backend>;
  /** Aborts when the server is to stop; it ends a load in progress too. */
  readonly stop: AbortSignal;
  /** The owner of the health port; undefined where this is the only process. */
  readonly supervisor?: SupervisorLink | undefined;
}

/**
 * Serves until `stop` aborts, then lets running requests finish and releases everything. The ports are open while the
 * model loads; a model file that cannot be served is refused before that.
 * @throws {StartError} when it cannot start or the engine fails
 */
export async function serve(options: ServeOptions): Promise<void> {
  const { config, log, stop, supervisor } = options;
  const { logger } = log;
  logSettings(options);
  // Found now, and not behind minutes of loading.
  if (config.server.tls !== undefined) openCertificate(config.server.tls);
  const restartCount = supervisor?.start.restartCount ?? 0;
  const found = await findModel(config, restartCount, stop).catch((error: unknown) => {
    // The stop ended the question to the hub; that is not a failure.
    if (!stop.aborted) throw error;
  });
  if (found === undefined) return;
  for (const { level, message } of found.sources?.model.notes ?? []) logger[level](message);
  const access = await openAccess(config, logger);
  const responseStore = await openResponses(config.responses, logger);
  const service = await createService(config, found.id, restartCount);

  const noPort = new AbortController();
  const start = startModel(found, {
    ...options,
    service,
    logger,
    stop: AbortSignal.any([stop, noPort.signal]),
  });
  // A small model is in memory at once, and its engine starts on another core while the ports open.
  await settledWithin(start.loaded, maxSilenceMs);
  const opened = { ...access, responseStore };
  const listeners = await openListeners(options, service, opened).catch(async (error) => {
    noPort.abort();
    await settled(start.running.then((running) => running.close()));
    throw error;
  });
  supervisor?.setPort(listeners.api.port);

  const reports = startReports(service, supervisor);
  let running: RunningModel | undefined;
  try {
    await reports.send();
    running = await start.running;
    // A reader of the `ready` line may ask the health port at once.
    await reports.send();
    const { card } = service.models.require();
    announce(running.engine, listeners.api.address, card, logger);
    welcome(running.engine, listeners.api.address, card, config);
    await log.beginService();
    await Promise.race([running.failure, aborted(stop)]);
  } catch (error) {
    service.models.setFailed();
    // The stop ended the load; that is not a failure.
    if (!stop.aborted) throw error;
  } finally {
    await drain(service, reports, stop.aborted ? config.server.drainTimeoutMs : 0, logger);
    await listeners.close();
    await running?.close();
    reports.stop();
    await service.tracing?.close();
    await access.close();
  }
  logger.info('stopped');
}

function logSettings({ config, warnings, log: { logger } }: ServeOptions): void {
  for (const { level, message } of warnings) logger[level](message);
  logger.info(settingsReport(config), 'settings');
  if (config.auth.enabled) return;
  if (config.auth.protectedMetrics) {
    logger.warn('METRICS_AUTH_ENABLED has no effect while authentication is off');
  }
  const { host } = config.server;
  const isLoopback = host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
  logger.warn(
    isLoopback
      ? 'authentication is off: every program on this machine can use the server'
      : `authentication is off and HOST is ${host}: everyone who reaches this machine can use the server`,
  );
}

function announce(
  { info }: Engine,
  address: string,
  { id, bundled }: ModelCard,
  logger: Logger,
): void {
  const { backend, slotCount, contextLength, kvTokenCount, speculative, backgroundPrefill } = info;
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
      backgroundPrefill,
    },
    'ready',
  );
}

/** For people at a terminal. */
function welcome(
  { info }: Engine,
  address: string,
  { id, quantization, sizeBytes }: ModelCard,
  { auth, log }: Config,
): void {
  if (!process.stderr.isTTY || log.format !== 'text') return;
  const { backend, slotCount, contextLength } = info;
  const served = {
    ...{ version: programVersion, model: id, quantization, sizeBytes, backend, slotCount },
    ...{ contextLength, url: reachable(address), needsKey: auth.enabled },
  };
  // Colours unless NO_COLOR says otherwise.
  process.stderr.write(banner(served, process.stderr.hasColors()));
}

/** Refuses new requests, and waits for the running ones or aborts them after `timeoutMs`. */
async function drain(
  service: Service,
  reports: StateReports,
  timeoutMs: number,
  logger: Logger,
): Promise<void> {
  const { runningCount } = service.drain;
  if (runningCount > 0 && timeoutMs > 0) {
    const seconds = timeoutMs / 1000;
    logger.info(
      { runningCount, seconds },
      'running requests may finish; a second signal ends them',
    );
  }
  const draining = service.drain.finish(timeoutMs);
  void reports.send();
  const abortedCount = await draining;
  if (abortedCount > 0) logger.warn({ abortedCount }, 'running requests were aborted');
}

/** Resolves however the promise settles. */
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
