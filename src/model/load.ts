import {
  GgmlType,
  getModuleVersion,
  InsufficientMemoryError,
  type Llama,
  type LlamaModel,
  type LlamaModelOptions,
} from 'node-llama-cpp';
import type { CacheType, EngineConfig, ModelConfig } from '../config.ts';
import type { Logger } from '../log.ts';
import { pinnedNodeLlamaCppVersion } from '../package-info.ts';
import { StartError } from '../start-error.ts';
import { type Backend, openBackend } from './backend.ts';
import {
  type ContextShape,
  defaultContextLength,
  type EngineFit,
  fitEngine,
  formatBytes,
  type MemoryAmounts,
} from './fit.ts';
import { availableMemoryBytes, usableCoreCount } from './machine.ts';
import type { ModelSource } from './source.ts';

/** A model in memory, and the engine that fits beside it. */
export interface LoadedModel {
  readonly model: LlamaModel;
  /** Guesses tokens for the model. */
  readonly draft: LlamaModel | undefined;
  /** `false` is the CPU alone. */
  readonly gpu: Llama['gpu'];
  readonly fit: EngineFit;
  readonly threadCount: number;
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
  const backend = await openBackend(options.model.gpu, logger);
  const { llama } = backend;
  const owned: { dispose(): Promise<void> }[] = [llama];
  const dispose = async () => {
    for (const each of owned.toReversed()) await each.dispose();
  };
  try {
    signal.throwIfAborted();
    const freeRamBytes = availableMemoryBytes();
    // First, since the model takes what GPU memory it finds.
    const draft =
      options.draftSource &&
      (await loadWeights(backend, options.draftSource, { ...options, onProgress: () => {} }));
    if (draft !== undefined) owned.push(draft);
    const model = await loadWeights(backend, source, options);
    owned.push(model);
    await logOffload(model, logger);
    const models = draft === undefined ? [model] : [model, draft];
    const fit = await fitToMemory(models, source, freeRamBytes, options.engine);
    for (const { level, message } of fit.notes) logger[level](message);
    signal.throwIfAborted();
    return {
      model,
      draft,
      gpu: llama.gpu,
      fit,
      threadCount: options.engine.threadCount || chosenThreadCount(llama.cpuMathCores),
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
  const contextSize = engine.kvTokenCount ?? (engine.slotCount ?? 1) * contextLength;
  return { fitContext: { contextSize } };
}

/** What all models take together, each with a context of the same shape. */
async function fitToMemory(
  models: readonly LlamaModel[],
  source: ModelSource,
  freeRamBytes: number,
  engine: EngineConfig,
): Promise<EngineFit> {
  const usesGpu = models.some((model) => model.gpuLayers > 0);
  const weights = await Promise.all(
    models.map((model) =>
      model.fileInsights.estimateModelResourceRequirementsV2({
        gpuLayers: model.gpuLayers,
        useMmap: model.useMmap,
      }),
    ),
  );
  const weightBytes = weights.reduce((total, { cpuRam }) => total + cpuRam, 0);
  const [{ llama }] = models as readonly [LlamaModel, ...LlamaModel[]];
  return fitEngine({
    slotCount: engine.slotCount,
    contextLength: engine.contextLength,
    kvTokenCount: engine.kvTokenCount,
    trainedContextLength: source.trainedContextLength,
    usesGpu,
    free: {
      ramBytes: Math.max(0, freeRamBytes - weightBytes - ramReserveBytes),
      vramBytes: usesGpu ? await freeVramBytes(llama) : 0,
    },
    estimate: async (shape) =>
      sum(await Promise.all(models.map((model) => estimateContext(model, engine, shape)))),
  });
}

function sum(amounts: readonly MemoryAmounts[]): MemoryAmounts {
  return {
    ramBytes: amounts.reduce((total, { ramBytes }) => total + ramBytes, 0),
    vramBytes: amounts.reduce((total, { vramBytes }) => total + vramBytes, 0),
  };
}

/** What is free once the weights are in place, less node-llama-cpp's own reserve. */
async function freeVramBytes(llama: Llama): Promise<number> {
  const { free } = await llama.getVramState();
  return Math.max(0, free - llama.vramPaddingSize);
}

async function estimateContext(
  model: LlamaModel,
  engine: EngineConfig,
  { slotCount, kvTokenCount }: ContextShape,
): Promise<MemoryAmounts> {
  const need = await model.fileInsights.estimateContextResourceRequirementsV2({
    contextSize: Math.ceil(kvTokenCount / slotCount),
    sequences: slotCount,
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

async function logOffload(model: LlamaModel, logger: Logger): Promise<void> {
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

/** Cores that help with arithmetic, unless the container grants fewer. */
function chosenThreadCount(mathCoreCount: number): number {
  return Math.max(1, Math.min(mathCoreCount, usableCoreCount()));
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
