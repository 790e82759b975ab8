import {
  GgmlType,
  getModuleVersion,
  InsufficientMemoryError,
  type Llama,
  type LlamaModel,
  type LlamaModelOptions,
} from 'node-llama-cpp';
import type { CacheType, EngineConfig, ModelConfig } from '../config/config.ts';
import { pinnedNodeLlamaCppVersion } from '../core/package-info.ts';
import { StartError } from '../core/start-error.ts';
import type { NativeLimits } from '../engine/addon.ts';
import { loadAddon, variantOf } from '../engine/load-addon.ts';
import type { EmbeddingOptions } from '../engine/native-embedder.ts';
import type { Logger } from '../log/log.ts';
import type { Backend } from './backend.ts';
import { checkCudaKernels, openCudaBuild } from './cuda-build.ts';
import {
  chosenPooling,
  type EmbeddingShape,
  embeddingBatchSize,
  embeddingLength,
  expectsEmbeddings,
  logitsBytes,
  requirePositions,
  unsetLength,
} from './embedding-traits.ts';
import {
  amounts,
  type ContextShape,
  defaultContextLength,
  type EngineFit,
  fitEngine,
  fits,
  formatBytes,
  type MemoryAmounts,
} from './fit.ts';
import { availableMemoryBytes, computeThreadCount, usableCoreCount } from './machine.ts';
import { laneBytes, wantsPromptLane } from './prompt-lane.ts';
import type { ModelSource } from './source.ts';

/** A model in memory, and the engine that fits beside it. */
export interface LoadedModel {
  readonly model: LlamaModel;
  /** Guesses tokens for the model. */
  readonly draft: LlamaModel | undefined;
  /** `false` is the CPU alone. */
  readonly gpu: Llama['gpu'];
  /** Whether it continues texts; one that does not only embeds or ranks. */
  readonly generates: boolean;
  readonly embedding: EmbeddingOptions;
  readonly fit: EngineFit & {
    /** Whether there is memory for a context for long prompts, too. */
    readonly backgroundPrefill: boolean;
  };
  readonly threadCount: number;
  readonly threadPoll: number;
  readonly streamIntervalMs: number;
  /** The file's own chat template, as Jinja text. */
  readonly chatTemplate: string | undefined;
  /** Texts of the tokens that begin a prompt and end a completion. */
  readonly bosToken: string | undefined;
  readonly eosToken: string | undefined;
  /** Frees the weights, then llama.cpp. Only after the engine that borrows them is closed. */
  dispose(): Promise<void>;
}

/** What loading depends on beside the file. */
export interface LoadOptions {
  /** On its way to being opened. */
  readonly backend: Promise<Backend>;
  readonly model: ModelConfig;
  readonly engine: EngineConfig;
  /** The draft model's file, if there is to be one. */
  readonly draftSource: ModelSource | undefined;
  readonly logger: Logger;
  /** Called with the share of the file that is loaded, 0 to 1. */
  onProgress(ratio: number): void;
  readonly signal: AbortSignal;
}

/** Left for the operating system and for what estimates miss, in bytes. */
const ramReserveBytes = 256 * 2 ** 20;

/**
 * Loads the file and decides how many slots of which context fit beside it.
 * @throws {StartError} exit code 1 when it cannot be loaded or does not fit
 * @throws the signal's reason once that aborts
 */
export async function loadModel(source: ModelSource, options: LoadOptions): Promise<LoadedModel> {
  const { logger, signal } = options;
  checkPinnedVersion(await getModuleVersion(), pinnedNodeLlamaCppVersion);
  const backend = await options.backend;
  const { llama } = backend;
  const owned: { dispose(): Promise<void> }[] = [llama];
  const dispose = async () => {
    for (const each of owned.toReversed()) await each.dispose();
  };
  try {
    signal.throwIfAborted();
    if (llama.gpu === 'cuda') {
      checkCudaKernels(loadAddon('cuda').cudaDriver(), openCudaBuild(), logger);
    }
    const { limits } = loadAddon(variantOf(llama.gpu));
    const freeRamBytes = availableMemoryBytes();
    // First, since the model takes what GPU memory it finds.
    const draft =
      options.draftSource &&
      (await loadWeights(backend, options.draftSource, { ...options, onProgress: () => {} }));
    if (draft !== undefined) owned.push(draft);
    const model = await loadWeights(backend, source, options);
    owned.push(model);
    await logOffload(model, logger);
    if (options.engine.cpuKernels) installCpuKernels(llama.gpu, logger);
    const fit = await fitToMemory({ model, draft }, source, freeRamBytes, options.engine, limits);
    for (const { level, message } of fit.notes) logger[level](message);
    signal.throwIfAborted();
    const threadCount = threadCountOf(options.engine, llama.cpuMathCores);
    return {
      model,
      draft,
      gpu: llama.gpu,
      generates: source.embedding.generates,
      embedding: embeddingOptions(model, source, options.engine, fit, limits),
      fit,
      threadCount,
      threadPoll: threadPollOf(options.engine, llama.gpu),
      streamIntervalMs: streamIntervalOf(options.engine, llama.gpu, threadCount),
      chatTemplate: chatTemplateOf(model),
      bosToken: model.tokens.bosString ?? undefined,
      eosToken: model.tokens.eosString ?? undefined,
      dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/**
 * The addon reads node-llama-cpp's C++ objects, whose layout belongs to one release.
 * @throws {StartError} exit code 1
 */
export function checkPinnedVersion(installed: string, pinned: string): void {
  if (installed === pinned) return;
  throw new StartError(
    1,
    `node-llama-cpp ${pinned} is needed, ${installed} is installed; run npm ci`,
  );
}

async function loadWeights(
  { llama, loadFailure }: Backend,
  source: ModelSource,
  { model: config, engine, onProgress, signal }: LoadOptions,
): Promise<LlamaModel> {
  // A quick load reports its progress in one go, and partly when it is already over.
  let isLoading = true;
  try {
    return await llama.loadModel({
      modelPath: source.path,
      gpuLayers: llama.gpu === false ? 0 : gpuLayers(config, engine, source),
      defaultContextFlashAttention: flashAttention(engine),
      defaultContextSwaFullCache: true,
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

/** A file may have named templates beside the default one; llama.cpp takes that. */
function chatTemplateOf({ fileInfo }: LlamaModel): string | undefined {
  const template: unknown = fileInfo.metadata.tokenizer?.chat_template;
  return typeof template === 'string' ? template : undefined;
}

/** As many layers as leave room for one slot at least, unless the operator named a number. */
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

/** A draft model takes memory for itself and for a context of the same shape. */
async function fitToMemory(
  { model, draft }: Pick<LoadedModel, 'model' | 'draft'>,
  source: ModelSource,
  freeRamBytes: number,
  engine: EngineConfig,
  limits: NativeLimits,
): Promise<LoadedModel['fit']> {
  const models = draft === undefined ? [model] : [model, draft];
  const usesGpu = models.some(({ gpuLayers }) => gpuLayers > 0);
  const weights = await Promise.all(
    models.map(({ fileInsights, gpuLayers, useMmap }) =>
      fileInsights.estimateModelResourceRequirementsV2({ gpuLayers, useMmap }),
    ),
  );
  const weightBytes = weights.reduce((total, { cpuRam }) => total + cpuRam, 0);
  const free = {
    ramBytes: Math.max(0, freeRamBytes - weightBytes - ramReserveBytes),
    vramBytes: usesGpu ? await freeVramBytes(model) : 0,
  };
  const { trainedContextLength, embedding } = source;
  if (!embedding.generates) {
    requirePositions(engine.contextLength, trainedContextLength);
    const fit = await fitEngine({
      slotCount: 1,
      contextLength: engine.contextLength,
      kvTokenCount: undefined,
      trainedContextLength: unsetLength(engine.contextLength, trainedContextLength),
      usesGpu,
      free,
      estimate: (shape) => estimateEmbedding(model, engine, { ...embedding, ...shape }, limits),
    });
    return { ...fit, backgroundPrefill: false };
  }
  const reserves = expectsEmbeddings(engine.pooling, embedding);
  const estimate = async (shape: ContextShape) => {
    const contexts = models.map((each) => estimateContext(each, engine, shape, limits));
    if (reserves)
      contexts.push(estimateEmbedding(model, engine, { ...embedding, ...shape }, limits));
    return total(await Promise.all(contexts));
  };
  const fit = await fitEngine({
    slotCount: engine.slotCount,
    contextLength: engine.contextLength,
    kvTokenCount: engine.kvTokenCount,
    trainedContextLength,
    usesGpu,
    free,
    estimate,
  });
  if (!keepsEveryTokenInRam(model) || !wantsPromptLane(fit, engine)) {
    return { ...fit, backgroundPrefill: false };
  }
  const ramBytes = await laneBytes(
    fit.contextLength,
    rotatesByContext(model),
    limits,
    async (length) => {
      const shape = { slotCount: 1, contextLength: length, kvTokenCount: length };
      return (await estimateContext(model, engine, shape, limits)).ramBytes;
    },
  );
  const lane = { ramBytes, vramBytes: 0 };
  if (fits(total([await estimate(fit), lane]), free)) return { ...fit, backgroundPrefill: true };
  const message = `BACKGROUND_PREFILL has no effect: ${amounts(lane)} more are not free`;
  return { ...fit, backgroundPrefill: false, notes: [...fit.notes, { level: 'info', message }] };
}

function total(parts: readonly MemoryAmounts[]): MemoryAmounts {
  return {
    ramBytes: parts.reduce((sum, { ramBytes }) => sum + ramBytes, 0),
    vramBytes: parts.reduce((sum, { vramBytes }) => sum + vramBytes, 0),
  };
}

function embeddingOptions(
  model: LlamaModel,
  { embedding }: ModelSource,
  engine: EngineConfig,
  fit: EngineFit,
  limits: NativeLimits,
): EmbeddingOptions {
  const contextLength = embeddingLength(fit.contextLength, engine.pooling, embedding);
  return {
    pooling: chosenPooling(engine.pooling, embedding),
    contextLength,
    wholeInputs: embedding.wholeInputs,
    // What was reserved may be taken; what comes on top has to be there at that moment.
    ...(!expectsEmbeddings(engine.pooling, embedding) && {
      checkMemory: async () => {
        const need = await estimateEmbedding(
          model,
          engine,
          { ...embedding, contextLength },
          limits,
        );
        const free = {
          ramBytes: Math.max(0, availableMemoryBytes() - ramReserveBytes),
          vramBytes: model.gpuLayers > 0 ? await freeVramBytes(model) : 0,
        };
        if (fits(need, free)) return;
        throw new Error(
          `embeddings of ${contextLength} tokens need ${amounts(need)}, ${amounts(free)} are free; ` +
            'POOLING reserves memory for them at the start',
        );
      },
    }),
  };
}

/** What is free once the weights are in place, less node-llama-cpp's own reserve. */
async function freeVramBytes({ llama }: LlamaModel): Promise<number> {
  const { free } = await llama.getVramState();
  return Math.max(0, free - llama.vramPaddingSize);
}

async function estimateContext(
  model: LlamaModel,
  engine: EngineConfig,
  shape: ContextShape,
  limits: NativeLimits,
): Promise<MemoryAmounts> {
  const sequenceCount = hasStates(model)
    ? stateSequenceCount(shape, engine.kvLayout, limits)
    : shape.slotCount;
  const need = await model.fileInsights.estimateContextResourceRequirementsV2({
    contextSize: Math.ceil(shape.kvTokenCount / sequenceCount),
    sequences: sequenceCount,
    modelGpuLayers: model.gpuLayers,
    // Compute buffers grow with the tokens computed at once, not with those of a whole batch.
    batchSize: engine.ubatchSize,
    flashAttention: flashAttention(engine),
    swaFullCache: true,
    kvCacheKeyType: ggmlType(engine.cacheTypeK),
    kvCacheValueType: ggmlType(engine.cacheTypeV),
    useMmap: model.useMmap,
  });
  return { ramBytes: need.cpuRam, vramBytes: need.gpuVram };
}

/** Whether some layers keep a state for each sequence instead of a cell for each token. */
function hasStates({ fileInfo }: LlamaModel): boolean {
  const { ssm, shortconv, wkv, kda } = fileInfo.architectureMetadata;
  return [ssm, shortconv, wkv, kda].some((part) => part !== undefined);
}

/** Whether what is computed of a prompt can move to another context: there is a cell for each token, and no GPU. */
function keepsEveryTokenInRam(model: LlamaModel): boolean {
  const windows = model.fileInfo.architectureMetadata.attention?.sliding_window;
  return model.llama.gpu === false && windows === undefined && !hasStates(model);
}

/** Whether RoPE factors depend on the size of the context (LongRoPE). */
function rotatesByContext({ fileInfo }: LlamaModel): boolean {
  return fileInfo.architectureMetadata.rope?.scaling?.original_context_length !== undefined;
}

/** Sequences whose states the engine keeps: the running ones, and in a unified cache cached prefixes as well. */
export function stateSequenceCount(
  { slotCount, contextLength, kvTokenCount }: ContextShape,
  kvLayout: EngineConfig['kvLayout'],
  {
    maxSequenceCount,
    statesPerSlot,
    spareStates,
  }: Pick<NativeLimits, 'maxSequenceCount' | 'statesPerSlot' | 'spareStates'>,
): number {
  const isUnified = kvLayout === 'unified' || kvTokenCount < slotCount * contextLength;
  return isUnified
    ? Math.min(maxSequenceCount, statesPerSlot * slotCount + spareStates)
    : slotCount;
}

/** What a context for embeddings takes. */
async function estimateEmbedding(
  model: LlamaModel,
  engine: EngineConfig,
  shape: EmbeddingShape,
  limits: NativeLimits,
): Promise<MemoryAmounts> {
  const batchSize = embeddingBatchSize(shape, engine.ubatchSize, limits);
  const need = await model.fileInsights.estimateContextResourceRequirementsV2({
    contextSize: shape.contextLength + (shape.wholeInputs ? 0 : batchSize),
    sequences: 1,
    modelGpuLayers: model.gpuLayers,
    batchSize,
    flashAttention: flashAttention(engine),
    swaFullCache: true,
    kvCacheKeyType: ggmlType(engine.cacheTypeK),
    kvCacheValueType: ggmlType(engine.cacheTypeV),
    useMmap: model.useMmap,
  });
  const { resultBytes, graphBytes } = logitsBytes(shape, batchSize);
  const onGpu = model.gpuLayers > 0;
  return {
    ramBytes: need.cpuRam + resultBytes + (onGpu ? 0 : graphBytes),
    vramBytes: need.gpuVram + (onGpu ? graphBytes : 0),
  };
}

/** Says what computes the model: the backend, its devices, and what of the model is on them. */
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

/** Of use beside a GPU, too: for the layers that it has no room for. */
function installCpuKernels(gpu: Llama['gpu'], logger: Logger): void {
  const instructions = loadAddon(variantOf(gpu)).installCpuKernels();
  if (instructions !== null) logger.debug({ instructions }, 'kernels for Q8_0 weights installed');
}

/** What was asked for, else a thread for each core that helps with arithmetic and is not needed for the rest. */
function threadCountOf({ threadCount, processors }: EngineConfig, mathCoreCount: number): number {
  if (threadCount > 0) return threadCount;
  const granted = computeThreadCount(usableCoreCount());
  return Math.max(1, Math.min(mathCoreCount, granted, processors?.length ?? granted));
}

/**
 * What was asked for, else a few milliseconds where the CPU computes: threads that sleep after each step take as long to
 * wake as a small model's step, when there are many, and a fiftieth of it, when there are two. While a GPU computes they
 * would burn a core for nothing.
 */
export function threadPollOf(
  { threadPoll }: Pick<EngineConfig, 'threadPoll'>,
  gpu: Llama['gpu'],
): number {
  return threadPoll ?? (gpu === false ? 1 : 0);
}

/** A frame of a display: what comes faster is not seen as faster. */
const leastVisibleMs = 16;

/**
 * What was asked for, else the time of a frame where every core computes: whoever sends a token takes one of them for
 * as long as a tenth of a small model's step, and the others wait for it.
 */
export function streamIntervalOf(
  { streamIntervalMs }: Pick<EngineConfig, 'streamIntervalMs'>,
  gpu: Llama['gpu'],
  threadCount: number,
  coreCount = usableCoreCount(),
): number {
  return streamIntervalMs ?? (gpu === false && threadCount >= coreCount ? leastVisibleMs : 0);
}

function flashAttention({ flashAttention: setting }: EngineConfig): boolean | 'auto' {
  return setting === 'auto' ? 'auto' : setting === 'on';
}

function ggmlType(name: CacheType): GgmlType {
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
