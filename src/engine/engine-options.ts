/** The options of an engine, and what the addon takes of them. */
import type { LlamaModel } from 'node-llama-cpp';
import type { NativeEngineOptions } from './addon.ts';
import { addonModelOf } from './addon-model.ts';
import type { EmbeddingOptions } from './native-embedder.ts';
import type { SamplingParams } from './sampling-params.ts';

/** Options of an engine. Numbers were fitted to memory and validated. */
export interface EngineOptions {
  readonly model: LlamaModel;
  /** `llama.gpu`: the backend that node-llama-cpp chose; false is the CPU. */
  readonly llamaGpu: 'cuda' | 'metal' | 'vulkan' | false;
  readonly slotCount: number;
  /** Maximum tokens of one request. */
  readonly contextLength: number;
  /** KV cells that all sequences share. */
  readonly kvTokenCount: number;
  /** Compute threads, above 0. */
  readonly threadCount: number;
  /** ggml's busy-wait of the compute threads between graphs, 0 (sleep at once, the default) to 100. */
  readonly threadPoll?: number;
  /** Processors the compute threads may run on. Default and empty: any. */
  readonly processors?: readonly number[] | undefined;
  /** Threads that sample tokens. Default: `threadCount`. */
  readonly samplingThreadCount?: number;
  readonly batchSize: number;
  readonly ubatchSize: number;
  /**
   * One KV cache for all sequences, or a part for each slot; `auto`, the default, is split. A split cache requires
   * room for a whole context in every slot; with less room the cache is unified whatever this option says.
   */
  readonly kvLayout?: 'auto' | 'unified' | 'split';
  /**
   * Whether layers that attend within a window keep every token, so that a sequence may be cut anywhere, or their window;
   * `auto`, the default, is the window in a split KV cache and every token in a unified one.
   */
  readonly swaFull?: 'auto' | 'on' | 'off';
  /** Maximum delay by a prompt of a step in which other sequences decode, in milliseconds, above 0; default 50. */
  readonly stepTargetMs?: number;
  /**
   * How long texts may wait for the texts of the next steps, to arrive in one turn of the event loop, in milliseconds;
   * default 0. The first text of a sequence never waits, nor does a text that no other follows.
   */
  readonly streamIntervalMs?: number;
  /** `auto` is off for narrow heads on a CPU, else llama.cpp's choice. */
  readonly flashAttention: 'auto' | 'on' | 'off';
  readonly cacheTypeK: string;
  readonly cacheTypeV: string;
  /**
   * Allows long prompts to be computed in a context of their own, between the steps of other sequences; default false.
   * It takes the memory of one more slot, and is used on a CPU with a split KV cache of two slots or more.
   */
  readonly backgroundPrefill?: boolean;
  /** Memory of the host, beside the KV cache, for prefixes that leave it, in bytes; default 0. */
  readonly storedBytes?: number;
  /** Default: no speculative decoding. */
  readonly speculative?: SpeculativeOptions | undefined;
  /** Jinja text that replaces the model's own chat template. */
  readonly chatTemplate?: string | undefined;
  /** Reason in chats that do not choose. Default: the template's own. */
  readonly thinking?: boolean | undefined;
  /** Completion tokens of requests without a limit of their own. */
  readonly defaultMaxTokens: number;
  /** Sampling parameters that requests may override. */
  readonly samplingDefaults: SamplingParams;
  /**
   * Called with the milliseconds between two texts of one sequence, as they leave the engine; texts that leave together
   * share the time since the previous one. Only tokens that complete a character make a text.
   */
  readonly onInterToken?: (ms: number) => void;
  /** Default: mean pooling of inputs up to the context length. */
  readonly embedding?: EmbeddingOptions;
  /**
   * Compute on fewer than `threadCount` threads while other processes want the same cores; default false. `onThreadsChanged`
   * is called with the number in use and the one before.
   */
  readonly adaptsThreads?: boolean;
  readonly onThreadsChanged?: (now: number, before: number) => void;
  /** Called once if the engine fails after it has started. It then rejects every request. */
  readonly onFailure?: (reason: string) => void;
}

/** How draft tokens are made. */
export interface SpeculativeOptions {
  readonly kind: 'ngram' | 'draft';
  /** The draft model; only with `draft`. It must outlive the engine. */
  readonly model?: LlamaModel | undefined;
  /** Tokens of a draft, 1 to 64. */
  readonly minTokens: number;
  readonly maxTokens: number;
  /** Length of the n-grams that are looked up, in tokens. */
  readonly ngramSize: number;
  /** Minimum probability of a token of the draft model, 0 to 1. */
  readonly minProbability: number;
}

/** The options by the names of the addon. A setting of its own passes through, whatever its name. */
export function nativeOptions(options: EngineOptions): NativeEngineOptions {
  const { model, chatTemplate = '', threadCount, samplingThreadCount = threadCount } = options;
  const { speculative } = options;
  return {
    ...options,
    model: addonModelOf(model),
    chatTemplate,
    samplingThreadCount,
    flashAttention: chosenFlashAttention(options),
    speculative: speculative && {
      ...speculative,
      model: speculative.model && addonModelOf(speculative.model),
    },
  };
}

/**
 * Minimum head width for flash attention on a CPU. Its kernel has a cost per head and cell that does not shrink with the
 * head, so narrower heads are faster without it: docs/performance.md.
 */
const minFlashHeadWidth = 64;

function chosenFlashAttention(options: EngineOptions): EngineOptions['flashAttention'] {
  const { flashAttention, llamaGpu, model, cacheTypeV } = options;
  // A quantized V cache requires flash attention.
  const isFree = flashAttention === 'auto' && ['f32', 'f16', 'bf16'].includes(cacheTypeV);
  if (!isFree || llamaGpu !== false) return flashAttention;
  const { embedding_length: width, attention } = model.fileInfo.architectureMetadata;
  const [headCount] = [attention?.head_count ?? 1].flat();
  const headWidth = attention?.key_length ?? (width ?? 0) / (headCount ?? 1);
  return headWidth > 0 && headWidth < minFlashHeadWidth ? 'off' : flashAttention;
}
