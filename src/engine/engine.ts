/**
 * The contract of a running engine, without its implementation. `native-engine.ts` implements it on the addon;
 * tests use a fake.
 */
import type { ChatCapabilities } from './chat.ts';
import type { Embedder, EmbeddingCapabilities } from './embedder.ts';
import type { Generator } from './generator.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Counters since the engine started, and gauges of this moment. */
export interface EngineStats {
  /** Times the engine computed something: a batch, a slice of the prompt lane, or both. */
  readonly stepCount: number;
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
  /** Tokens computed in the prompt lane, those of prompts that were given up included. */
  readonly laneTokenCount: number;
  /** Tokens sampled. */
  readonly sampledTokenCount: number;
  /** Sequences that found a part of their prompt in the cache. */
  readonly prefixHitCount: number;
  /** Times a sequence had to give way to a neighbour and waited to be resumed. */
  readonly pausedSequenceCount: number;
  /** Times a sequence was moved in a split KV cache, to be computed in one pass with others. */
  readonly movedSequenceCount: number;
  /** Guesses of what comes next that were checked; 0 where the engine does not guess ... */
  readonly draftCount: number;
  /** ... their tokens ... */
  readonly draftedTokenCount: number;
  /** ... those that were right ... */
  readonly acceptedTokenCount: number;
  /** ... and these by their place in the guess. */
  readonly acceptedTokenCountByPlace: readonly number[];
  /** Time spent in steps, in milliseconds ... */
  readonly stepMs: number;
  /** ... and the part of it in `llama_decode` ... */
  readonly decodeMs: number;
  /** ... and in choosing tokens. */
  readonly samplingMs: number;
  /** Sequences that hold a slot now. */
  readonly runningCount: number;
  /** Sequences that wait for a slot now. */
  readonly waitingCount: number;
  /** Sequences that have not ended and whose readers keep up: a working engine does steps for them. */
  readonly awaitedCount: number;
  /** KV cells of running sequences now; what several share counts once. */
  readonly usedKvTokenCount: number;
  /** KV cells that only finished prefixes hold now: free for whoever needs them. */
  readonly keptKvTokenCount: number;
  /** Finished prefixes kept now. */
  readonly keptPrefixCount: number;
}

/** The configuration of a running engine, after everything was fitted to memory. */
export interface EngineInfo {
  /** Backend variant: `cpu`, `cuda`, `metal`, `vulkan`. */
  readonly backend: string;
  readonly slotCount: number;
  /** Tokens of one request, prompt and completion together. */
  readonly contextLength: number;
  /** Completion tokens of requests without a limit of their own. */
  readonly defaultMaxTokens: number;
  /** KV cells that all sequences share. */
  readonly kvTokenCount: number;
  /** Token ids are below it. */
  readonly vocabularySize: number;
  /** True if the model can fill a gap between two texts. */
  readonly infill: boolean;
  readonly chat: ChatCapabilities;
  readonly embedding: EmbeddingCapabilities;
  /** The source of draft tokens; undefined without speculative decoding. */
  readonly speculative?: 'ngram' | 'draft';
  /** Why speculative decoding is off although it was requested. */
  readonly speculativeDisabledReason?: string;
  /** True if long prompts are computed in a context of their own, between the steps of other sequences. */
  readonly backgroundPrefill?: boolean;
  /** Why background prefill is off although it would help. */
  readonly backgroundPrefillDisabledReason?: string;
}

/** A running engine with one model. */
export interface Engine {
  readonly info: EngineInfo;
  /** Undefined for a model that only embeds or ranks. */
  readonly generator: Generator | undefined;
  readonly embedder: Embedder;
  readonly tokenizer: Tokenizer;

  stats(): EngineStats;

  /** Ends every sequence as `cancelled`, joins the engine's threads and frees their contexts. Idempotent. */
  close(): Promise<void>;
}

/** An engine that generates text. */
export type GeneratingEngine = Engine & { readonly generator: Generator };
