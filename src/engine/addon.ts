/** The contract with the native addon: its classes, their options and their events. */
import type { ChatCapabilities } from './chat.ts';
import type { Pooling } from './embedder.ts';
import type { EngineStats, Statistic } from './engine-stats.ts';
import type { EngineEvent, EngineRequest, InfillPrompt, ReplyDelta } from './generator.ts';
import type { SamplingDescription, SamplingParams } from './sampling-params.ts';
import type { TokenRules } from './token-rules.ts';

/**
 * Options of the native engine, each by its name in `VisitOptions` of the C++ structs. Other properties have no effect,
 * and an absent one leaves the default of the struct. Validated before.
 */
export interface NativeEngineOptions {
  /** node-llama-cpp's addon object behind a loaded `LlamaModel`. */
  readonly model: object;
  /** Jinja text that replaces the model's own template; empty: the model's own, else ChatML. */
  readonly chatTemplate: string;
  readonly [option: string]: unknown;
}

/** Sampling parameters as the addon takes them: the seed folded to 32 bits. */
export interface NativeSamplingParams extends Omit<SamplingParams, 'seed'> {
  readonly seed?: number;
}

/** Token rules as the addon takes them. */
export interface NativeTokenRules extends Pick<TokenRules, 'minTokens'> {
  readonly stopTokens?: Int32Array;
  readonly allowedTokens?: Int32Array;
  readonly badWords?: readonly Int32Array[];
}

/** One completion. Validated before. */
export interface NativeRequest
  extends Pick<
    EngineRequest,
    | 'maxDecodeMs'
    | 'minIndent'
    | 'showStops'
    | 'showControl'
    | 'logprobs'
    | 'reportTokens'
    | 'reportProgress'
  > {
  readonly maxTokens: number;
  readonly stops: readonly string[];
  readonly sampling: NativeSamplingParams;
  readonly cacheScope: string;
  readonly tokenRules?: NativeTokenRules;
}

/** A token of a text. Bytes are strings with one character for each byte. */
export interface NativeTokenLogprob {
  readonly id: number;
  readonly bytes: string;
  /** Absent for the first token of a prompt. */
  readonly logprob?: number;
  /** Only of tokens of a prompt. */
  readonly rank?: number;
  /** The likeliest tokens: id, bytes, log probability, id, bytes, log probability … */
  readonly top: readonly (string | number)[];
  readonly firstCharacter: number;
}

/** Why a request failed. */
export interface NativeRequestError {
  readonly type: 'request-error';
  readonly code: 'bad_request' | 'sequence_failed' | 'engine_failed';
  readonly message: string;
}

/** An event of a sequence: text, or an object. */
export type NativeSequenceEvent =
  | string
  | Extract<EngineEvent, { type: 'prompt-progress' }>
  | { readonly type: 'prompt-logprobs'; readonly tokens: readonly NativeTokenLogprob[] }
  | {
      readonly type: 'text-tokens';
      readonly text: string;
      /** Only with `logprobs`. */
      readonly tokens?: readonly NativeTokenLogprob[];
      /** Only with `reportTokens`. */
      readonly ids?: Int32Array;
    }
  | {
      readonly type: 'sequence-end';
      readonly finishReason: 'stop' | 'length' | 'cancelled';
      readonly stopText?: string;
      readonly stopToken?: number;
      readonly ids?: Int32Array;
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
  | NativeRequestError;

/** The engine thread has its context. */
export interface EngineStarted {
  readonly type: 'started';
  readonly batchSize: number;
  readonly ubatchSize: number;
  /** True if all sequences share one KV cache. */
  readonly unifiedKv: boolean;
  /** Why speculative decoding is off although it was requested; else empty. */
  readonly speculativeDisabledReason: string;
  /** True if long prompts are computed in a context of their own. */
  readonly backgroundPrefill: boolean;
  /** Why background prefill is off although it would help; else empty. */
  readonly backgroundPrefillDisabledReason: string;
}

/** The number of compute threads has changed: others want the same cores, or no longer do. */
export interface NativeThreadsChanged {
  readonly type: 'threads-changed';
  readonly threadCount: number;
  readonly previousThreadCount: number;
}

/** The events of a thread itself: `started` or `failed` first, `stopped` last. */
export type NativeLifecycle<Started> =
  | Started
  | NativeThreadsChanged
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'stopped' };

/** Events of one crossing: request id, event, request id, event … (id 0: the thread itself). */
export type NativeEvents<Started, Event> = readonly (number | NativeLifecycle<Started> | Event)[];

/**
 * The methods that every class with a native thread has. An object closes itself when it is garbage-collected
 * and when its environment (thread or process) exits.
 */
export interface NativeThreadHandle {
  tokenize(text: string, addSpecial: boolean, parseSpecial: boolean): Promise<Int32Array>;
  /** @returns bytes, not necessarily valid UTF-8 */
  detokenize(tokens: Int32Array): Promise<Buffer>;
  /** Ends the request as cancelled before the next step. Ignores a request that has ended. */
  cancel(id: number): void;
  /** True: events to come keep the process running. */
  keepAlive(keep: boolean): void;
  /** Ends all requests as cancelled, then emits `stopped`. Returns at once. */
  requestClose(): void;
  /** Frees everything; waits for the thread if it still runs. */
  release(): void;
}

/** What the vocabulary and the chat template support. */
export interface NativeCapabilities extends ChatCapabilities {
  readonly vocabularySize: number;
  readonly infill: boolean;
}

/** A prompt whose tokens stay native. */
export interface NativePrompt {
  readonly tokenCount: number;
  /** True if a {@link NativeReplyParser} must parse its replies. */
  readonly structured: boolean;
  /** A part of the request was left out, for lack of room. */
  readonly cut?: true;
  readonly handle: object;
}

/** The addition of one more piece of text to a reply. */
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

/** Parses one reply, on a worker thread; one call at a time. */
export interface NativeReplyParser {
  /** @param isLast - no more text follows */
  push(text: string, isLast: boolean): Promise<readonly NativeReplyDelta[]>;
}

/** One native engine. */
export interface NativeEngineHandle extends NativeThreadHandle {
  capabilities(): NativeCapabilities;
  /**
   * Rejects with the template's own message when it refuses the messages.
   * @param request - JSON text, defined in chat.h
   */
  prepareChat(request: string): Promise<NativePrompt>;
  /**
   * Tokenizes the text, including control tokens.
   * @param format - JSON text, defined in plain_prompt.h; empty: any text may follow
   */
  prepareText(text: string, format: string): Promise<NativePrompt>;
  /** Prepares a prompt for the text between two others; only with `infill`. */
  prepareInfill(text: InfillPrompt, format: string): Promise<NativePrompt>;
  /** @param tokens - each in the vocabulary */
  prepareTokens(tokens: Int32Array, format: string): Promise<NativePrompt>;
  /** The text that `prepareChat` tokenizes. */
  renderChat(request: string): Promise<string>;
  /** What stands otherwise in the prompt than in the messages; the names are those of docs/chat-templates.md. */
  chatChanges(request: string): Promise<string[]>;
  /** The tokens of a prepared prompt. */
  promptTokens(prompt: object): Int32Array;
  /** The tokens of each text, without a BOS token and without control tokens. */
  tokenizeAll(texts: readonly string[]): Promise<readonly Int32Array[]>;
  /** @param id - a positive integer, never used before */
  submit(id: number, prompt: object, request: NativeRequest): void;
  /** Back-pressure: a paused sequence computes nothing, and gives up its slot when others wait long. */
  pause(id: number, paused: boolean): void;
  stats(): Omit<EngineStats, 'awaitedCount'>;
}

/** Options of a native embedder. Validated before. */
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
  /** True if a token attends to later ones, so that an input is computed in one piece. */
  readonly wholeInputs: boolean;
  /** Linux's nice value of its threads, 0 to 19. */
  readonly niceness: number;
}

/** An event of a request to the embedder. */
export type NativeEmbedEvent =
  | {
      readonly type: 'embed-end';
      /** Rows of `dimensions` values, or one score for each input. */
      readonly values: Float32Array;
      readonly queueMs: number;
      readonly computeMs: number;
    }
  | { readonly type: 'embed-cancelled' }
  | NativeRequestError;

/** The embedder thread has its context. */
export interface EmbedderStarted {
  readonly type: 'started';
}

/** Inputs whose tokens stay native, or the first that cannot be computed. */
export type NativeInputs =
  | { readonly tokenCounts: Int32Array; readonly handle: object }
  | { readonly failedIndex: number; readonly reason: string };

/** What is known of a model before an embedder starts on it. */
export interface NativeEmbeddingCapabilities {
  readonly vocabularySize: number;
  readonly width: number;
  /** Values of the classification head; 1 without one. */
  readonly classCount: number;
}

/** One native embedder. */
export interface NativeEmbedderHandle extends NativeThreadHandle {
  /** @param maxTokens - 0: inputs are not truncated */
  prepare(inputs: readonly (string | Int32Array)[], maxTokens: number): Promise<NativeInputs>;
  /** Only with pooling `rank`. */
  prepareRanking(query: string, documents: readonly string[]): Promise<NativeInputs>;
  /** @param id - a positive integer, never used before */
  submit(id: number, inputs: object, dimensions: number): void;
}

/** NVIDIA's driver and its devices. */
export interface CudaDriver {
  /** The newest CUDA version whose kernels the driver compiles: 13000 is 13.0. */
  readonly version: number;
  /** Compute capabilities of the devices: 90 is 9.0. */
  readonly capabilities: readonly number[];
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

/** The exports of the addon. */
export interface Addon {
  readonly limits: NativeLimits;
  /** The names that the C++ side reads of {@link NativeEngineOptions}. */
  readonly engineOptionNames: readonly string[];
  /** The release of node-llama-cpp it was compiled against. */
  readonly nodeLlamaCppVersion: string;
  /** The list of what `stats()` returns. */
  readonly statistics: readonly Statistic[];
  /** Null without a driver. */
  cudaDriver(): CudaDriver | null;
  /**
   * Makes the CPU backend use the engine's own kernels where they are faster, for the life of the process. Call it before
   * anything computes. Idempotent.
   * @returns the name of their instruction set; null without such kernels
   */
  installCpuKernels(): string | null;
  /** All parameters that result from the given ones, under the names of llama-server. */
  describeSampling(sampling: NativeSamplingParams): SamplingDescription;
  readonly Engine: {
    new (
      options: NativeEngineOptions,
      onEvents: (events: NativeEvents<EngineStarted, NativeSequenceEvent>) => void,
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
      onEvents: (events: NativeEvents<EmbedderStarted, NativeEmbedEvent>) => void,
    ): NativeEmbedderHandle;
    /** @param model - as in {@link NativeEngineOptions} */
    capabilities(model: object): NativeEmbeddingCapabilities;
  };
  /** Takes the handle of a structured prompt. */
  readonly ReplyParser: new (
    prompt: object,
  ) => NativeReplyParser;
}
