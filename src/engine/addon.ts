/**
 * The native addon: where it lies, what it offers, and what to tell the user when it does not load.
 * The only file that knows a `.node` path.
 */
import { createRequire } from 'node:module';
import { packagePath, pinnedNodeLlamaCppVersion } from '../core/package-info.ts';
import type { CudaDriver } from '../model/cuda-build.ts';
import type { ChatCapabilities } from './chat.ts';
import type { Pooling } from './embedder.ts';
import type { EngineStats } from './engine.ts';
import type { ReplyDelta } from './generator.ts';
import type { LogprobOptions } from './logprobs.ts';
import type { SamplingParams } from './sampling-params.ts';

/**
 * What the native engine is built with: each option by the name that `VisitOptions` of the C++ structs gives it. Other
 * properties have no effect, and an absent one leaves the default of the struct. Checked before it gets here.
 */
export interface NativeEngineOptions {
  /** node-llama-cpp's addon object behind a loaded `LlamaModel`. */
  readonly model: object;
  /** Jinja text that replaces the model's own template; empty: the model's, or ChatML. */
  readonly chatTemplate: string;
  readonly [option: string]: unknown;
}

/** Sampling parameters as the addon takes them: the seed folded to 32 bits. */
export interface NativeSamplingParams extends Omit<SamplingParams, 'seed'> {
  readonly seed?: number;
}

/** A token of a text. Its bytes, and those of others, are strings with one character for each byte. */
export interface NativeTokenLogprob {
  readonly bytes: string;
  /** Left out for the first token of a prompt. */
  readonly logprob?: number;
  /** The likeliest tokens: bytes, logarithm, bytes, logarithm … */
  readonly top: readonly (string | number)[];
  readonly firstCharacter: number;
}

/** What an event carries besides its sequence id: text, or one of these. */
export type NativePayload =
  | { readonly type: 'scored-prompt'; readonly tokens: readonly NativeTokenLogprob[] }
  | {
      readonly type: 'scored-text';
      readonly text: string;
      readonly tokens: readonly NativeTokenLogprob[];
    }
  | {
      readonly type: 'sequence-end';
      readonly finishReason: 'stop' | 'length' | 'cancelled';
      readonly promptTokenCount: number;
      readonly cachedTokenCount: number;
      readonly completionTokenCount: number;
      readonly reasoningTokenCount: number;
      readonly totalLogprob?: number;
      readonly draftedTokenCount: number;
      readonly acceptedTokenCount: number;
      readonly queueMs: number;
      readonly prefillMs: number;
      readonly decodeMs: number;
    }
  | {
      readonly type: 'request-error';
      readonly code: 'bad_request' | 'sequence_failed' | 'engine_failed';
      readonly message: string;
    }
  | {
      readonly type: 'started';
      readonly batchSize: number;
      readonly ubatchSize: number;
      /** Whether all sequences share one KV cache. */
      readonly unifiedKv: boolean;
      /** Why tokens are not guessed although they were to be; else empty. */
      readonly noDrafts: string;
      /** Whether long prompts are computed in a context of their own. */
      readonly promptLane: boolean;
      /** Why there is none although it would be of use; else empty. */
      readonly noPromptLane: string;
    }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'stopped' };

/** Events of one crossing: sequence id, payload, sequence id, payload … (id 0: the engine itself). */
export type NativeEvents = readonly (number | string | NativePayload)[];

/** What the vocabulary and the chat template are capable of. */
export interface NativeCapabilities extends ChatCapabilities {
  readonly vocabularySize: number;
  readonly infill: boolean;
}

/** A prompt whose tokens stay native. */
export interface NativePrompt {
  readonly tokenCount: number;
  /** A {@link NativeReplyParser} has to take replies to it apart. */
  readonly structured: boolean;
  readonly handle: object;
}

/** What one more piece of text adds to a reply. */
export type NativeReplyDelta =
  | Extract<ReplyDelta, { type: 'text-delta' | 'reasoning-delta' }>
  | {
      readonly type: 'tool-call-delta';
      readonly index: number;
      /** Only in the first delta of a call, else empty. */
      readonly name: string;
      /** Only there, and only where the model gave one. */
      readonly id: string;
      readonly arguments: string;
    };

/** Takes one reply apart, on a worker thread; one call at a time. */
export interface NativeReplyParser {
  /** @param isLast - no more text comes */
  push(text: string, isLast: boolean): Promise<readonly NativeReplyDelta[]>;
}

/**
 * One native engine. Tells `started` or `failed` first and `stopped` last. Closes itself when it
 * is garbage-collected and when its environment (thread or process) exits.
 */
export interface NativeEngineHandle {
  abilities(): NativeCapabilities;
  /**
   * Rejects with the template's own words when it refuses the messages.
   * @param request - JSON text; chat.h says what it holds
   */
  prepareChat(request: string): Promise<NativePrompt>;
  /** Tokenizes the text, control tokens and all. */
  prepareText(text: string): Promise<NativePrompt>;
  /** Asks for what stands between two texts; only where the vocabulary can. */
  prepareInfill(prefix: string, suffix: string): Promise<NativePrompt>;
  /** @param tokens - each of the vocabulary */
  prepareTokens(tokens: Int32Array): Promise<NativePrompt>;
  /** The text that `prepareChat` would tokenize. */
  renderChat(request: string): Promise<string>;
  tokenize(text: string, addSpecial: boolean, parseSpecial: boolean): Promise<Int32Array>;
  /** @returns bytes, which need not be valid UTF-8 */
  detokenize(tokens: Int32Array): Promise<Buffer>;
  /** @param id - a positive integer, never used before */
  submit(
    id: number,
    prompt: object,
    maxTokens: number,
    stops: readonly string[],
    sampling: NativeSamplingParams,
    cacheScope: string,
    logprobs: LogprobOptions | undefined,
  ): void;
  /** Ends the sequence as `cancelled` before the next step. One that is over is left alone. */
  cancel(id: number): void;
  /** Back-pressure: a held sequence computes nothing, and gives up its slot when others wait long. */
  hold(id: number, held: boolean): void;
  /** Whether events to come keep the process running. */
  keepAlive(keep: boolean): void;
  stats(): Omit<EngineStats, 'awaitedCount'>;
  /** Ends all sequences as `cancelled`, then tells `stopped`. Returns at once. */
  requestClose(): void;
  /** Frees everything; waits for the thread if it still runs. */
  release(): void;
}

/** What a native embedder is built with. Checked before it gets here. */
export interface NativeEmbedderOptions
  extends Pick<
    NativeEngineOptions,
    | 'model'
    | 'contextLength'
    | 'ubatchSize'
    | 'threadCount'
    | 'threadPoll'
    | 'processors'
    | 'flashAttention'
    | 'cacheTypeK'
    | 'cacheTypeV'
  > {
  readonly pooling: Pooling;
  /** Whether a token sees those after it, so that an input has to be computed at once. */
  readonly wholeInputs: boolean;
  /** How far its threads step back behind others, 0 to 19. */
  readonly niceness: number;
}

/** What an event of an embedder carries besides the id of a request. */
export type NativeEmbedPayload =
  | { readonly type: 'started' }
  | {
      readonly type: 'embed-end';
      /** Rows of `dimensions` values, or one score for each input. */
      readonly values: Float32Array;
      readonly queueMs: number;
      readonly computeMs: number;
    }
  | { readonly type: 'embed-cancelled' }
  | {
      readonly type: 'request-error';
      readonly code: 'bad_request' | 'sequence_failed' | 'engine_failed';
      readonly message: string;
    }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'stopped' };

/** Events of one crossing: request id, payload, request id, payload … (id 0: the embedder itself). */
export type NativeEmbedEvents = readonly (number | NativeEmbedPayload)[];

/** Inputs whose tokens stay native, or the first that is no good. */
export type NativeInputs =
  | { readonly tokenCounts: Int32Array; readonly handle: object }
  | { readonly failedIndex: number; readonly reason: string };

/** What can be known of a model before anything is embedded with it. */
export interface NativeEmbeddingCapabilities {
  readonly vocabularySize: number;
  readonly width: number;
  /** Values of its classification head, 1 where it has none. */
  readonly classCount: number;
}

/**
 * One native embedder. Tells `started` or `failed` first and `stopped` last. Closes itself when
 * it is garbage-collected and when its environment (thread or process) exits.
 */
export interface NativeEmbedderHandle {
  /** @param maxTokens - 0: inputs stay as they are */
  prepare(inputs: readonly (string | Int32Array)[], maxTokens: number): Promise<NativeInputs>;
  /** Only with pooling `rank`. */
  prepareRanking(query: string, documents: readonly string[]): Promise<NativeInputs>;
  tokenize(text: string, addSpecial: boolean, parseSpecial: boolean): Promise<Int32Array>;
  /** @returns bytes, which need not be valid UTF-8 */
  detokenize(tokens: Int32Array): Promise<Buffer>;
  /** @param id - a positive integer, never used before */
  submit(id: number, inputs: object, dimensions: number): void;
  /** Ends the request before the next batch. One that is over is left alone. */
  cancel(id: number): void;
  /** Whether events to come keep the process running. */
  keepAlive(keep: boolean): void;
  /** Ends all requests as cancelled, then tells `stopped`. Returns at once. */
  requestClose(): void;
  /** Frees everything; waits for the thread if it still runs. */
  release(): void;
}

/** Limits of the native contexts that decide how much memory they take (`native/src/llama/memory_limits.h`). */
export interface NativeLimits {
  /** Sequence ids that llama.cpp knows. */
  readonly maxSequenceCount: number;
  /** Recurrent states in a unified cache: for each slot, and beside them. */
  readonly statesPerSlot: number;
  readonly spareStates: number;
  /** Bytes of cells that are moved or copied at once. */
  readonly maxMovedBytes: number;
  /** Logits of an embedding batch, which also has at least so many tokens. */
  readonly maxEmbeddingLogits: number;
  readonly minEmbeddingBatchSize: number;
}

/** What the addon exports. */
export interface Addon {
  readonly limits: NativeLimits;
  /** The names that the C++ side reads of {@link NativeEngineOptions}. */
  readonly engineOptionNames: readonly string[];
  /** The release of node-llama-cpp it was compiled against. */
  readonly nodeLlamaCppVersion: string;
  /** NVIDIA's driver and its devices; null where there is none. */
  cudaDriver(): CudaDriver | null;
  /**
   * Has the CPU backend use the engine's own kernels where they are faster, for as long as the process lives. To be
   * called before anything computes; once more changes nothing.
   * @returns the name of their instruction set; null where there are none
   */
  installCpuKernels(): string | null;
  readonly Engine: {
    new (
      options: NativeEngineOptions,
      onEvents: (events: NativeEvents) => void,
    ): NativeEngineHandle;
    /**
     * Why one model cannot draft for another, as the end of a sentence about it; empty when it can.
     * Both are addon objects.
     */
    draftProblem(model: object, draft: object): string;
  };
  readonly Embedder: {
    new (
      options: NativeEmbedderOptions,
      onEvents: (events: NativeEmbedEvents) => void,
    ): NativeEmbedderHandle;
    /** @param model - as in {@link NativeEngineOptions} */
    abilities(model: object): NativeEmbeddingCapabilities;
  };
  /** Takes the handle of a structured prompt. */
  readonly ReplyParser: new (
    prompt: object,
  ) => NativeReplyParser;
}

/** Backend variants the addon is linked for. */
export type AddonVariant = 'cpu' | 'cuda' | 'metal' | 'vulkan';

/** The variant that belongs to what `llama.gpu` says, where false is the CPU alone. */
export function variantOf(gpu: Exclude<AddonVariant, 'cpu'> | false): AddonVariant {
  return gpu === false ? 'cpu' : gpu;
}

const require = createRequire(import.meta.url);
let loaded: { readonly variant: AddonVariant; readonly addon: Addon } | undefined;

/**
 * Loads the addon linked against the same libraries node-llama-cpp has open.
 * @throws {Error} with what to do, when it is missing or does not load, or when another variant is
 *   loaded already: the variants share library names, and one process holds one of them
 */
export function loadAddon(variant: AddonVariant): Addon {
  if (loaded?.variant === variant) return loaded.addon;
  if (loaded !== undefined) {
    throw new Error(
      `the ${loaded.variant} engine is loaded already; a process can hold only one backend variant`,
    );
  }
  const path = packagePath(`dist/native/engine-${variant}.node`);
  let addon: Addon;
  try {
    addon = require(path) as Addon;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(
      `the native engine for ${variant} did not load from ${path}: ${reason}. ` +
        'Build it with `npm run build`, on the Node.js version that runs it.',
      { cause },
    );
  }
  if (addon.nodeLlamaCppVersion !== pinnedNodeLlamaCppVersion) {
    throw new Error(
      `the native engine was built for node-llama-cpp ${addon.nodeLlamaCppVersion}, ` +
        `but ${pinnedNodeLlamaCppVersion} is required: run \`npm run build\``,
    );
  }
  loaded = { variant, addon };
  return addon;
}
