import type { Config } from './config.ts';

/**
 * The settings that a start logs for the operator, by their names in the log, without secrets. `auto` stands for a value
 * that depends on the model and the machine; the log has it once it is known.
 */
export function settingsReport({ server, model, engine, auth, log }: Config) {
  const { bodyBytes, connectionCount } = server.limits;
  return {
    models: model.modelsDir,
    keys: auth.enabled ? auth.keysFile : undefined,
    logs: log.files?.folder ?? 'stderr only',
    worker: log.files?.name,
    authentication: auth.enabled,
    gpu: model.gpu,
    ngl: model.gpuLayers,
    ctx: engine.contextLength ?? 'auto',
    parallel: engine.slotCount ?? 'auto',
    ...auth.defaultLimits,
    maxQueueSize: server.queue.waitingCount,
    maxQueueWaitMs: server.queue.waitMs,
    requestTimeoutMs: server.generationTimeoutMs,
    maxBodyBytes: bodyBytes,
    maxConnections: connectionCount,
    tls: server.tls !== undefined,
  };
}
