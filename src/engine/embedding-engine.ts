/**
 * The {@link Engine} of a model that continues no text: it embeds or ranks, and nothing else.
 */
import { GatewayError } from '../core/errors.ts';
import { type AddonVariant, loadAddon, variantOf } from './addon.ts';
import { addonModelOf } from './addon-model.ts';
import type {
  EmbeddingInput,
  Engine,
  EngineEvent,
  EngineInfo,
  EngineStats,
  PreparedInputs,
  PreparedPrompt,
} from './engine.ts';
import {
  type EmbeddingOptions,
  embeddingAbilities,
  LazyEmbedder,
  type LazyEmbedderOptions,
} from './lazy-embedder.ts';

/** How it is set up. Numbers were fitted to memory and checked. */
export interface EmbeddingEngineOptions extends Omit<LazyEmbedderOptions, 'niceness'> {
  /** `llama.gpu`: which backend node-llama-cpp chose; false is the CPU. */
  readonly llamaGpu: Exclude<AddonVariant, 'cpu'> | false;
  readonly embedding: EmbeddingOptions;
}

/**
 * Starts an engine on a loaded model.
 * @throws {Error} when its context cannot be created
 */
export async function createEmbeddingEngine(options: EmbeddingEngineOptions): Promise<Engine> {
  const engine = new EmbeddingEngine(options);
  await engine.start();
  return engine;
}

class EmbeddingEngine implements Engine {
  readonly info: EngineInfo;
  readonly #embedder: LazyEmbedder;

  constructor(options: EmbeddingEngineOptions) {
    const { model, embedding } = options;
    const backend = variantOf(options.llamaGpu);
    const addon = loadAddon(backend);
    this.#embedder = new LazyEmbedder(addon, { ...options, niceness: 0 });
    this.info = {
      backend,
      slotCount: 1,
      contextLength: embedding.contextLength,
      defaultMaxTokens: 0,
      kvTokenCount: embedding.contextLength,
      vocabularySize: addon.Embedder.abilities(addonModelOf(model)).vocabularySize,
      infill: false,
      chat: { tools: false, thinking: false, thinksByDefault: false },
      generates: false,
      embedding: embeddingAbilities(addon, model, embedding),
    };
  }

  /** A failure here is one of the start; later the embedder is started anew. */
  async start(): Promise<void> {
    try {
      await this.#embedder.get();
    } catch (error) {
      throw error instanceof GatewayError && error.cause instanceof Error ? error.cause : error;
    }
  }

  prepareChat(): Promise<PreparedPrompt> {
    return Promise.reject(new GatewayError('unsupported_model'));
  }

  prepare(): Promise<PreparedPrompt> {
    return Promise.reject(new GatewayError('unsupported_model'));
  }

  renderChat(): Promise<string> {
    return Promise.reject(new GatewayError('unsupported_model'));
  }

  // biome-ignore lint/correctness/useYield: there is nothing that this engine could generate
  async *generate(): AsyncGenerator<EngineEvent> {
    throw new GatewayError('unsupported_model');
  }

  async tokenize(
    text: string,
    { addSpecial, parseSpecial }: { readonly addSpecial: boolean; readonly parseSpecial: boolean },
  ): Promise<readonly number[]> {
    const embedder = await this.#embedder.get();
    return [...(await embedder.tokenize(text, addSpecial, parseSpecial))];
  }

  async detokenize(tokens: readonly number[]): Promise<Buffer> {
    return (await this.#embedder.get()).detokenize(tokens);
  }

  async prepareInputs(
    inputs: readonly EmbeddingInput[],
    maxTokens?: number,
  ): Promise<PreparedInputs> {
    return (await this.#embedder.get()).prepare(inputs, maxTokens);
  }

  async prepareRanking(query: string, documents: readonly string[]): Promise<PreparedInputs> {
    return (await this.#embedder.get()).prepareRanking(query, documents);
  }

  async embed(
    inputs: PreparedInputs,
    dimensions?: number,
    signal?: AbortSignal,
  ): Promise<readonly Float32Array[]> {
    return (await this.#embedder.get()).embed(inputs, dimensions, signal);
  }

  async rank(inputs: PreparedInputs, signal?: AbortSignal): Promise<readonly number[]> {
    return (await this.#embedder.get()).rank(inputs, signal);
  }

  stats(): EngineStats {
    const { pendingCount } = this.#embedder;
    return {
      ...nothingGenerated,
      runningCount: Math.min(1, pendingCount),
      waitingCount: Math.max(0, pendingCount - 1),
      awaitedCount: pendingCount,
    };
  }

  close(): Promise<void> {
    return this.#embedder.close();
  }
}

const nothingGenerated: EngineStats = {
  stepCount: 0,
  decodeCallCount: 0,
  decodedTokenCount: 0,
  prefilledTokenCount: 0,
  cachedTokenCount: 0,
  recomputedTokenCount: 0,
  laneTokenCount: 0,
  sampledTokenCount: 0,
  prefixHitCount: 0,
  pausedSequenceCount: 0,
  movedSequenceCount: 0,
  draftCount: 0,
  draftedTokenCount: 0,
  acceptedTokenCount: 0,
  acceptedTokenCountByPlace: [],
  stepMs: 0,
  decodeMs: 0,
  samplingMs: 0,
  runningCount: 0,
  waitingCount: 0,
  awaitedCount: 0,
  usedKvTokenCount: 0,
  keptKvTokenCount: 0,
  keptPrefixCount: 0,
};
