/** Fits the engine of a loaded model into the memory that is left beside the weights. */
import type { LlamaModel } from 'node-llama-cpp';
import type { EngineConfig } from '../config/config.ts';
import type { NativeLimits } from '../engine/addon.ts';
import type { EmbeddingOptions } from '../engine/native-embedder.ts';
import { backgroundPrefillBytes, wantsBackgroundPrefill } from './background-prefill.ts';
import {
  chosenPooling,
  embeddingLength,
  expectsEmbeddings,
  requirePositions,
  unsetLength,
} from './embedding-traits.ts';
import {
  amounts,
  type ContextShape,
  type EngineFit,
  fitEngine,
  fits,
  type MemoryAmounts,
} from './fit.ts';
import { availableMemoryBytes } from './machine.ts';
import { hasStates, MemoryEstimate, total } from './memory-estimate.ts';
import type { ModelSource } from './source.ts';

/** Maximum memory for prefixes that leave the KV cache, unless a setting says more, in bytes. */
const maxStoredBytes = 8 * 2 ** 30;

/** Memory left for the operating system and for errors of the estimates, in bytes. */
const ramReserveBytes = 256 * 2 ** 20;

/** What of an engine fits. */
export interface ModelFit extends EngineFit {
  /** True if a second context for long prompts fits too. */
  readonly backgroundPrefill: boolean;
  /** Memory of the host for prefixes that leave the KV cache. */
  readonly storedBytes: number;
}

/** A model in memory, with everything that decides about its memory. */
export interface LoadedWeights {
  readonly model: LlamaModel;
  /** The draft model; it takes memory for itself and for a context of the same shape. */
  readonly draft: LlamaModel | undefined;
  readonly source: ModelSource;
  readonly engine: EngineConfig;
  readonly limits: NativeLimits;
  /** Own kernels compute the CPU's attention. */
  readonly hasOwnAttention: boolean;
}

/**
 * Decides how many slots of which context fit.
 * @param freeRamBytes - before the weights were loaded
 */
export async function fitToMemory(weights: LoadedWeights, freeRamBytes: number): Promise<ModelFit> {
  const { model, source, engine, limits } = weights;
  const { trainedContextLength, embedding } = source;
  const models = modelsOf(weights);
  const usesGpu = models.some(({ gpuLayers }) => gpuLayers > 0);
  const free = {
    ramBytes: Math.max(0, freeRamBytes - (await weightBytes(models)) - ramReserveBytes),
    vramBytes: usesGpu ? await freeVramBytes(model) : 0,
  };
  const memory = new MemoryEstimate(engine, limits);
  if (!embedding.generates) {
    requirePositions(engine.contextLength, trainedContextLength);
    const fit = await fitEngine({
      slotCount: 1,
      contextLength: engine.contextLength,
      kvTokenCount: undefined,
      trainedContextLength: unsetLength(engine.contextLength, trainedContextLength),
      usesGpu,
      free,
      estimate: (shape) => memory.embedding(model, { ...embedding, ...shape }),
    });
    return { ...fit, backgroundPrefill: false, storedBytes: 0 };
  }
  const reservesEmbeddings = expectsEmbeddings(engine.pooling, embedding);
  const estimate = async (shape: ContextShape) => {
    const contexts = models.map((each) => memory.context(each, shape));
    if (reservesEmbeddings) contexts.push(memory.embedding(model, { ...embedding, ...shape }));
    return total(await Promise.all(contexts));
  };
  const { slotCount, contextLength, kvTokenCount } = engine;
  const fit = await fitEngine({
    slotCount,
    contextLength,
    kvTokenCount,
    trainedContextLength,
    usesGpu,
    free,
    estimate,
  });
  const needed = await estimate(fit);
  const background = await fitBackgroundPrefill(fit, weights, memory, (extra) =>
    fits(total([needed, extra]), free),
  );
  const ramBytes = total([needed, background.extra]).ramBytes;
  return { ...background.fit, storedBytes: storedBytesOf(engine, free.ramBytes - ramBytes) };
}

/** The setting, else a part of what nothing else needs. */
function storedBytesOf({ cacheRamMib }: EngineConfig, unusedBytes: number): number {
  if (cacheRamMib !== undefined) return cacheRamMib * 2 ** 20;
  return Math.max(0, Math.min(maxStoredBytes, Math.floor(unusedBytes / 4)));
}

const nothing: MemoryAmounts = { ramBytes: 0, vramBytes: 0 };

/** Adds background prefill where it is wanted and its context fits, and says what it takes. */
async function fitBackgroundPrefill(
  fit: EngineFit,
  { model, engine, limits, hasOwnAttention }: LoadedWeights,
  memory: MemoryEstimate,
  fitsToo: (extra: MemoryAmounts) => boolean,
): Promise<{ fit: EngineFit & Pick<ModelFit, 'backgroundPrefill'>; extra: MemoryAmounts }> {
  if (!keepsEveryTokenInRam(model) || !wantsBackgroundPrefill(fit, engine, hasOwnAttention)) {
    return { fit: { ...fit, backgroundPrefill: false }, extra: nothing };
  }
  const ramOf = async (length: number) => {
    const shape = { slotCount: 1, contextLength: length, kvTokenCount: length };
    return (await memory.context(model, shape)).ramBytes;
  };
  const { contextLength } = fit;
  const isWhole = rotatesByContext(model);
  const ramBytes = await backgroundPrefillBytes(contextLength, isWhole, limits, ramOf);
  const extra = { ramBytes, vramBytes: 0 };
  if (fitsToo(extra)) return { fit: { ...fit, backgroundPrefill: true }, extra };
  const message = `BACKGROUND_PREFILL has no effect: ${amounts(extra)} more are not free`;
  const notes = [...fit.notes, { level: 'info' as const, message }];
  return { fit: { ...fit, backgroundPrefill: false, notes }, extra: nothing };
}

/** How the model embeds, with a memory check where no memory was reserved. */
export function embeddingOptions(
  { model, source: { embedding }, engine, limits }: LoadedWeights,
  fit: EngineFit,
): EmbeddingOptions {
  const { pooling: setting } = engine;
  const contextLength = embeddingLength(fit.contextLength, setting, embedding);
  const checkMemory = async () => {
    const need = await new MemoryEstimate(engine, limits).embedding(model, {
      ...embedding,
      contextLength,
    });
    const free = {
      ramBytes: Math.max(0, availableMemoryBytes() - ramReserveBytes),
      vramBytes: model.gpuLayers > 0 ? await freeVramBytes(model) : 0,
    };
    if (fits(need, free)) return;
    throw new Error(
      `embeddings of ${contextLength} tokens need ${amounts(need)}, ${amounts(free)} are free; ` +
        'POOLING reserves memory for them at the start',
    );
  };
  return {
    pooling: chosenPooling(setting, embedding),
    contextLength,
    wholeInputs: embedding.wholeInputs,
    // Reserved memory needs no check.
    ...(!expectsEmbeddings(setting, embedding) && { checkMemory }),
  };
}

function modelsOf({ model, draft }: LoadedWeights): readonly LlamaModel[] {
  return draft === undefined ? [model] : [model, draft];
}

async function weightBytes(models: readonly LlamaModel[]): Promise<number> {
  const weights = await Promise.all(
    models.map(({ fileInsights, gpuLayers, useMmap }) =>
      fileInsights.estimateModelResourceRequirementsV2({ gpuLayers, useMmap }),
    ),
  );
  return weights.reduce((sum, { cpuRam }) => sum + cpuRam, 0);
}

/** Free GPU memory beside the weights, less node-llama-cpp's own reserve. */
async function freeVramBytes({ llama }: LlamaModel): Promise<number> {
  const { free } = await llama.getVramState();
  return Math.max(0, free - llama.vramPaddingSize);
}

/** True if computed cells of a prompt can move to another context: one cell for each token, and no GPU. */
function keepsEveryTokenInRam(model: LlamaModel): boolean {
  const windows = model.fileInfo.architectureMetadata.attention?.sliding_window;
  return model.llama.gpu === false && windows === undefined && !hasStates(model);
}

/** True if RoPE factors depend on the size of the context (LongRoPE). */
function rotatesByContext({ fileInfo }: LlamaModel): boolean {
  return fileInfo.architectureMetadata.rope?.scaling?.original_context_length !== undefined;
}
