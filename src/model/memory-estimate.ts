/** How much memory contexts take, before one is created. */
import { GgmlType, type LlamaModel } from 'node-llama-cpp';
import type { CacheType, EngineConfig } from '../config/config.ts';
import type { NativeLimits } from '../engine/addon.ts';
import { type EmbeddingShape, embeddingBatchSize, logitsBytes } from './embedding-traits.ts';
import type { ContextShape, MemoryAmounts } from './fit.ts';

/** Memory that contexts on a loaded model take with the settings of an engine. */
export class MemoryEstimate {
  readonly #engine: EngineConfig;
  readonly #limits: NativeLimits;

  constructor(engine: EngineConfig, limits: NativeLimits) {
    this.#engine = engine;
    this.#limits = limits;
  }

  /** A context that generates text. */
  async context(model: LlamaModel, shape: ContextShape): Promise<MemoryAmounts> {
    const sequenceCount = hasStates(model)
      ? stateSequenceCount(shape, this.#engine.kvLayout, this.#limits)
      : shape.slotCount;
    const need = await this.#estimate(model, {
      contextSize: Math.ceil(shape.kvTokenCount / sequenceCount),
      sequences: sequenceCount,
      // Compute buffers grow with the tokens computed at once, not with those of a whole batch.
      batchSize: this.#engine.ubatchSize,
      swaFullCache: keepsWholeWindows(this.#engine, isUnified(shape, this.#engine.kvLayout)),
    });
    return { ramBytes: need.cpuRam, vramBytes: need.gpuVram };
  }

  /** A context that embeds or ranks. */
  async embedding(model: LlamaModel, shape: EmbeddingShape): Promise<MemoryAmounts> {
    const batchSize = embeddingBatchSize(shape, this.#engine.ubatchSize, this.#limits);
    const need = await this.#estimate(model, {
      contextSize: shape.contextLength + (shape.wholeInputs ? 0 : batchSize),
      sequences: 1,
      batchSize,
      swaFullCache: true,
    });
    const { resultBytes, graphBytes } = logitsBytes(shape, batchSize);
    const onGpu = model.gpuLayers > 0;
    return {
      ramBytes: need.cpuRam + resultBytes + (onGpu ? 0 : graphBytes),
      vramBytes: need.gpuVram + (onGpu ? graphBytes : 0),
    };
  }

  #estimate(
    model: LlamaModel,
    size: {
      readonly contextSize: number;
      readonly sequences: number;
      readonly batchSize: number;
      readonly swaFullCache: boolean;
    },
  ) {
    const { cacheTypeK, cacheTypeV } = this.#engine;
    return model.fileInsights.estimateContextResourceRequirementsV2({
      ...size,
      modelGpuLayers: model.gpuLayers,
      flashAttention: flashAttention(this.#engine),
      kvCacheKeyType: ggmlType(cacheTypeK),
      kvCacheValueType: ggmlType(cacheTypeV),
      useMmap: model.useMmap,
    });
  }
}

/** Sums of memory. */
export function total(parts: readonly MemoryAmounts[]): MemoryAmounts {
  return {
    ramBytes: parts.reduce((sum, { ramBytes }) => sum + ramBytes, 0),
    vramBytes: parts.reduce((sum, { vramBytes }) => sum + vramBytes, 0),
  };
}

/** True if some layers keep a state for each sequence instead of a cell for each token. */
export function hasStates({ fileInfo }: LlamaModel): boolean {
  const { ssm, shortconv, wkv, kda } = fileInfo.architectureMetadata;
  return [ssm, shortconv, wkv, kda].some((part) => part !== undefined);
}

/** Sequences whose states the engine keeps: the running ones, and in a unified cache cached prefixes as well. */
export function stateSequenceCount(
  shape: ContextShape,
  kvLayout: EngineConfig['kvLayout'],
  limits: Pick<NativeLimits, 'maxSequenceCount' | 'statesPerSlot' | 'spareStates'>,
): number {
  if (!isUnified(shape, kvLayout)) return shape.slotCount;
  const { slotCount } = shape;
  return Math.min(limits.maxSequenceCount, limits.statesPerSlot * slotCount + limits.spareStates);
}

/** True if all slots share one KV cache, as `Context` decides it (`native/src/llama/context.cc`). */
export function isUnified(
  { slotCount, contextLength, kvTokenCount }: ContextShape,
  kvLayout: EngineConfig['kvLayout'],
): boolean {
  return kvLayout === 'unified' || kvTokenCount < slotCount * contextLength;
}

/** True if layers that attend within a window keep every token, as `Context` decides it. */
export function keepsWholeWindows(
  { swaFull }: Pick<EngineConfig, 'swaFull'>,
  unified: boolean,
): boolean {
  return swaFull === 'on' || (swaFull === 'auto' && unified);
}

/** The setting as node-llama-cpp takes it. */
export function flashAttention({
  flashAttention: setting,
}: Pick<EngineConfig, 'flashAttention'>): boolean | 'auto' {
  return setting === 'auto' ? 'auto' : setting === 'on';
}

/** The cache type as node-llama-cpp takes it. */
export function ggmlType(name: CacheType): GgmlType {
  const types = {
    f32: GgmlType.F32,
    f16: GgmlType.F16,
    bf16: GgmlType.BF16,
    q8_0: GgmlType.Q8_0,
    q4_0: GgmlType.Q4_0,
    q4_1: GgmlType.Q4_1,
    iq4_nl: GgmlType.IQ4_NL,
    q5_0: GgmlType.Q5_0,
    q5_1: GgmlType.Q5_1,
  } as const;
  return types[name];
}
