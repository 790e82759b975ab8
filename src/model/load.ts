/** Loads a model and fits its engine into memory. */
import { getModuleVersion, type Llama, type LlamaModel } from 'node-llama-cpp';
import { pinnedNodeLlamaCppVersion } from '../core/package-info.ts';
import { StartError } from '../core/start-error.ts';
import type { Addon } from '../engine/addon.ts';
import type { EmbeddingOptions } from '../engine/native-embedder.ts';
import type { Logger } from '../log/log.ts';
import type { Backend } from './backend.ts';
import { computesOwnAttention } from './background-prefill.ts';
import { checkCudaKernels, openCudaBuild } from './cuda-build.ts';
import { availableMemoryBytes } from './machine.ts';
import { streamIntervalOf, threadCountOf, threadPollOf } from './machine-defaults.ts';
import { embeddingOptions, fitToMemory, type ModelFit } from './memory-fit.ts';
import type { ModelSource } from './source.ts';
import { loadWeights, logOffload, type WeightsOptions } from './weights.ts';

/** A model in memory, and the engine that fits beside it. */
export interface LoadedModel {
  readonly model: LlamaModel;
  readonly draft: LlamaModel | undefined;
  /** `false` is the CPU alone. */
  readonly gpu: Llama['gpu'];
  /** True if the model generates text; otherwise it only embeds or ranks. */
  readonly generates: boolean;
  readonly embedding: EmbeddingOptions;
  readonly fit: ModelFit;
  readonly threadCount: number;
  readonly threadPoll: number;
  /** Fewer threads may compute while other processes want the same cores. */
  readonly adaptsThreads: boolean;
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
export interface LoadOptions extends WeightsOptions {
  /** A backend that is still opening. */
  readonly backend: Promise<Backend>;
  /** Loads the addon for the backend. */
  readonly loadAddon: (gpu: Llama['gpu']) => Addon;
  /** The draft model's file, if there is one. */
  readonly draftSource: ModelSource | undefined;
  readonly logger: Logger;
}

/**
 * Loads the file and decides how many slots of which context fit beside it.
 * @throws {StartError} exit code 1 when it cannot be loaded or does not fit
 * @throws the signal's reason once it aborts
 */
export async function loadModel(source: ModelSource, options: LoadOptions): Promise<LoadedModel> {
  const { draftSource, engine, logger, signal } = options;
  checkPinnedVersion(await getModuleVersion(), pinnedNodeLlamaCppVersion);
  const backend = await options.backend;
  const { llama } = backend;
  const owned: { dispose(): Promise<void> }[] = [llama];
  const dispose = async () => {
    for (const each of owned.toReversed()) await each.dispose();
  };
  try {
    signal.throwIfAborted();
    const addon = options.loadAddon(llama.gpu);
    if (llama.gpu === 'cuda') checkCudaKernels(addon.cudaDriver(), openCudaBuild(), logger);
    // Before the weights, which some kernels of ggml would lay out anew.
    const wantsKernels = engine.cpuKernels ?? process.arch === 'x64';
    const hasKernels = wantsKernels && installCpuKernels(addon, logger);
    const freeRamBytes = availableMemoryBytes();
    // The draft model comes first, because the model takes all the GPU memory that is left.
    const draft =
      draftSource &&
      (await loadWeights(backend, draftSource, { ...options, onProgress: () => {} }));
    if (draft !== undefined) owned.push(draft);
    const model = await loadWeights(backend, source, options);
    owned.push(model);
    await logOffload(model, logger);
    const hasOwnAttention = computesOwnAttention(engine, hasKernels);
    const weights = { model, draft, source, engine, limits: addon.limits, hasOwnAttention };
    const fit = await fitToMemory(weights, freeRamBytes);
    for (const { level, message } of fit.notes) logger[level](message);
    signal.throwIfAborted();
    const threadCount = threadCountOf(engine, llama.cpuMathCores);
    return {
      model,
      draft,
      gpu: llama.gpu,
      generates: source.embedding.generates,
      embedding: embeddingOptions(weights, fit),
      fit,
      threadCount,
      threadPoll: threadPollOf(engine, llama.gpu),
      adaptsThreads: engine.threadCount === 0 && llama.gpu === false && threadCount > 1,
      streamIntervalMs: streamIntervalOf(engine, llama.gpu, threadCount),
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
function checkPinnedVersion(installed: string, pinned: string): void {
  if (installed === pinned) return;
  throw new StartError(
    1,
    `node-llama-cpp ${pinned} is needed, ${installed} is installed; run npm ci`,
  );
}

/** A file may have named templates beside the default one; llama.cpp takes the default one. */
function chatTemplateOf({ fileInfo }: LlamaModel): string | undefined {
  const template: unknown = fileInfo.metadata.tokenizer?.chat_template;
  return typeof template === 'string' ? template : undefined;
}

/** The kernels help beside a GPU too: for the layers that do not fit it. False where there are none. */
function installCpuKernels(addon: Addon, logger: Logger): boolean {
  const instructions = addon.installCpuKernels();
  if (instructions === null) return false;
  logger.debug({ instructions }, 'kernels for products and attention installed');
  return true;
}
