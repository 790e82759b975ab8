/** Loads the weights of a GGUF file. */
import { InsufficientMemoryError, type LlamaModel, type LlamaModelOptions } from 'node-llama-cpp';
import type { EngineConfig, ModelConfig } from '../config/config.ts';
import { StartError } from '../core/start-error.ts';
import type { Logger } from '../log/log.ts';
import type { Backend } from './backend.ts';
import { defaultContextLength, formatBytes } from './fit.ts';
import { flashAttention, ggmlType, keepsWholeWindows } from './memory-estimate.ts';
import type { ModelSource } from './source.ts';

/** How weights are loaded. */
export interface WeightsOptions {
  readonly model: ModelConfig;
  readonly engine: EngineConfig;
  /** Called with the loaded share of the file, 0 to 1. */
  onProgress(ratio: number): void;
  readonly signal: AbortSignal;
}

/**
 * Loads the file into RAM and GPU memory.
 * @throws {StartError} exit code 1 when it cannot be loaded or does not fit
 * @throws the signal's reason once it aborts
 */
export async function loadWeights(
  { llama, loadFailure }: Backend,
  source: ModelSource,
  { model: config, engine, onProgress, signal }: WeightsOptions,
): Promise<LlamaModel> {
  // A quick load reports its progress all at once, and some of it after the load.
  let isLoading = true;
  try {
    return await llama.loadModel({
      modelPath: source.path,
      gpuLayers: llama.gpu === false ? 0 : gpuLayers(config, engine, source),
      defaultContextFlashAttention: flashAttention(engine),
      // Before the number of slots is known: as where each has a part of the KV cache.
      defaultContextSwaFullCache: keepsWholeWindows(engine, engine.kvLayout === 'unified'),
      experimentalDefaultContextKvCacheKeyType: ggmlType(engine.cacheTypeK),
      experimentalDefaultContextKvCacheValueType: ggmlType(engine.cacheTypeV),
      onLoadProgress: (ratio) => {
        if (isLoading) onProgress(ratio);
      },
      loadSignal: signal,
    });
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof InsufficientMemoryError) {
      const { free } = await llama.getVramState();
      throw new StartError(
        1,
        `NGL=${config.gpuLayers} layers of ${source.path} (${formatBytes(source.sizeBytes)}) do not fit ` +
          `the ${formatBytes(free)} of GPU memory that are free; use NGL=auto or a smaller number`,
        { cause },
      );
    }
    const reason = loadFailure() ?? (cause instanceof Error ? cause.message : String(cause));
    throw new StartError(1, `${source.path} could not be loaded: ${reason}`, { cause });
  } finally {
    isLoading = false;
  }
}

/** Layers on the GPU: the setting, else as many as leave room for at least one slot. */
function gpuLayers(
  config: ModelConfig,
  engine: EngineConfig,
  source: ModelSource,
): NonNullable<LlamaModelOptions['gpuLayers']> {
  if (config.gpuLayers !== 'auto') return config.gpuLayers;
  const contextLength = engine.contextLength ?? defaultContextLength(source.trainedContextLength);
  const contextSize = source.embedding.generates
    ? (engine.kvTokenCount ?? (engine.slotCount ?? 1) * contextLength)
    : contextLength;
  return { fitContext: { contextSize } };
}

/** Logs where the model is computed: the backend, its devices, and the layers on them. */
export async function logOffload(model: LlamaModel, logger: Logger): Promise<void> {
  const { llama } = model;
  const layerCount = model.fileInsights.totalLayers;
  if (llama.gpu === false) {
    logger.info({ backend: 'cpu', layers: `0/${layerCount}` }, 'model loaded on the CPU');
    return;
  }
  const [devices, vram] = await Promise.all([llama.getGpuDeviceNames(), llama.getVramState()]);
  logger.info(
    {
      backend: llama.gpu,
      devices,
      layers: `${model.gpuLayers}/${layerCount}`,
      weightsOnGpu: formatBytes(model.memoryUsage.vram),
      vramFree: formatBytes(vram.free),
      vramTotal: formatBytes(vram.total),
    },
    'model loaded',
  );
}
