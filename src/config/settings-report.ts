import type { Config } from './config.ts';

/**
 * What a start says of the settings that matter to an operator, by the names they are logged under; nothing
 * of it is a secret. What is not set, and is chosen by the model and the machine, is `auto` here and told when
 * it is known.
 */
export function settingsReport({ server, model, engine, auth, log }: Config) {
  const { bodyBytes, connectionCount } = server.limits;
  return {
    models: model.modelsDir,
    keys: auth.enabled ? auth.keysFile : undefined,
    logs: log.files?.folder ?? 'stderr alone',
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
