/**
 * The contract of a running engine, without its implementation. `native-engine.ts` implements it on the addon;
 * tests use a fake.
 */
import type { ChatCapabilities } from './chat.ts';
import type { Embedder, EmbeddingCapabilities } from './embedder.ts';
import type { EngineStats } from './engine-stats.ts';
import type { Generator } from './generator.ts';
import type { Tokenizer } from './tokenizer.ts';

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
