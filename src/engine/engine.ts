/**
 * What the gateway asks of an engine, and nothing of how it is done. `native-engine.ts` runs it on the
 * addon; tests put a fake behind the same interface.
 */

/** One message of a chat, already reduced to text. */
export interface ChatMessage {
  readonly role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  readonly content: string;
}

/** A prompt that was rendered and tokenized off the event loop. Opaque: the tokens stay native. */
export interface PreparedPrompt {
  readonly tokenCount: number;
  /** Held by the engine that prepared it; meaningless to any other. */
  readonly handle: unknown;
}

/**
 * How the next token is chosen. A field that is left out takes the engine's default (llama.cpp's own
 * unless the operator set another). Ranges are checked where a request enters, not here.
 */
export interface SamplingParams {
  /** 0 is greedy. */
  readonly temperature?: number;
  readonly topP?: number;
  /** 0 keeps the whole vocabulary. */
  readonly topK?: number;
  readonly minP?: number;
  readonly typicalP?: number;
  /** In standard deviations of the logits; negative is off. */
  readonly topNSigma?: number;
  readonly xtcProbability?: number;
  readonly xtcThreshold?: number;
  readonly dynatempRange?: number;
  readonly dynatempExponent?: number;
  /** Tokens the penalties look back over; 0 is off. */
  readonly repeatLastN?: number;
  readonly repeatPenalty?: number;
  readonly frequencyPenalty?: number;
  readonly presencePenalty?: number;
  readonly dryMultiplier?: number;
  readonly dryBase?: number;
  readonly dryAllowedLength?: number;
  readonly dryPenaltyLastN?: number;
  readonly drySequenceBreakers?: readonly string[];
  readonly adaptiveTarget?: number;
  readonly adaptiveDecay?: number;
  /** 0 off, 1 or 2 the version. */
  readonly mirostat?: 0 | 1 | 2;
  readonly mirostatTau?: number;
  readonly mirostatEta?: number;
  /** Any 64-bit integer; folded to the 32 bits llama.cpp's generators take. */
  readonly seed?: bigint;
  /** The model may not end the completion itself. */
  readonly ignoreEos?: boolean;
  /** Added to the logits: `[token id, bias]`. */
  readonly logitBias?: readonly (readonly [number, number])[];
  /** Names of llama.cpp's samplers in the order they apply. */
  readonly samplers?: readonly string[];
  /** A GBNF grammar, already checked. */
  readonly grammar?: string;
}

/** One completion to be generated from a prepared prompt. */
export interface GenerateRequest {
  readonly prompt: PreparedPrompt;
  /** Completion tokens at most; left out: the engine's default, or the room left if that is less. */
  readonly maxTokens?: number;
  /** Texts that end the completion; matched across token borders, never part of the output. */
  readonly stop?: readonly string[];
  readonly sampling?: SamplingParams;
  /**
   * Requests share computed prefixes only with those of an equal scope; left out: with all others
   * that name none.
   */
  readonly cacheScope?: string;
}

/** Why a sequence ended. `cancelled` stays internal: the client is gone or the server is stopping. */
export type FinishReason = 'stop' | 'length' | 'cancelled';

/** Exact token counts of one sequence. */
export interface TokenUsage {
  readonly promptTokenCount: number;
  /** Prompt tokens that were found in the cache instead of being computed. */
  readonly cachedTokenCount: number;
  /** Sampled tokens, the one that ended the sequence included. */
  readonly completionTokenCount: number;
}

/** Where the time of one sequence went, in milliseconds. */
export interface SequenceTimings {
  /** From submission to the first step that worked on it. */
  readonly queueMs: number;
  /** From there to the first sampled token. */
  readonly prefillMs: number;
  /** From the first sampled token to the last. */
  readonly decodeMs: number;
}

/** What a sequence tells while it runs. `sequence-end` comes once, last. */
export type EngineEvent =
  | {
      readonly type: 'text-delta';
      /** Whole UTF-8 characters, never empty. */
      readonly text: string;
    }
  | {
      readonly type: 'sequence-end';
      readonly finishReason: FinishReason;
      readonly usage: TokenUsage;
      readonly timings: SequenceTimings;
    };

/** Counters since the engine started, and gauges of this moment. */
export interface EngineStats {
  /** Calls of `llama_decode`. */
  readonly decodeCallCount: number;
  /** Tokens given to those calls. */
  readonly decodedTokenCount: number;
  /** The prompt tokens among them, each counted the first time it was computed. */
  readonly prefilledTokenCount: number;
  /** Prompt tokens that were found in the cache instead. */
  readonly cachedTokenCount: number;
  /** Tokens computed once more, for sequences that had lost their cache to a neighbour. */
  readonly recomputedTokenCount: number;
  /** Tokens sampled. */
  readonly sampledTokenCount: number;
  /** Sequences that found a part of their prompt in the cache. */
  readonly prefixHitCount: number;
  /** Times a sequence had to give way to a neighbour and waited to be resumed. */
  readonly pausedSequenceCount: number;
  /** Sequences that hold a slot now. */
  readonly runningCount: number;
  /** Sequences that wait for a slot now. */
  readonly waitingCount: number;
  /** KV cells of running sequences now; what several share counts once. */
  readonly usedKvTokenCount: number;
  /** KV cells that only finished prefixes hold now: free for whoever needs them. */
  readonly keptKvTokenCount: number;
  /** Finished prefixes kept now. */
  readonly keptPrefixCount: number;
}

/** What an engine was started with, after everything was fitted to memory. */
export interface EngineInfo {
  /** Backend variant: `cpu`, `cuda`, `metal`, `vulkan`. */
  readonly backend: string;
  readonly slotCount: number;
  /** Tokens one request may use, prompt and completion together. */
  readonly contextLength: number;
  /** KV cells all sequences share. */
  readonly kvTokenCount: number;
}

/** A running engine with one model. */
export interface Engine {
  readonly info: EngineInfo;

  /**
   * Applies the chat template and tokenizes, on a worker thread.
   * @throws {GatewayError} `bad_request` when the template refuses the messages
   */
  prepareChat(messages: readonly ChatMessage[]): Promise<PreparedPrompt>;

  /**
   * Streams one completion. The last event is always `sequence-end`, with `cancelled` once `signal`
   * aborts; the slot is then free within one step. Leaving the loop early cancels too.
   * @throws {GatewayError} `context_length_exceeded` before any work, `bad_request` for refused
   *   sampling parameters, `sequence_failed`, `engine_failed`, `shutting_down`
   */
  generate(request: GenerateRequest, signal?: AbortSignal): AsyncIterable<EngineEvent>;

  stats(): EngineStats;

  /** Ends every sequence as `cancelled`, joins the engine thread and frees the context. Idempotent. */
  close(): Promise<void>;
}
