/** Starts engines on the addon: the parts of an {@link Engine}, put together. */
import type { Addon, EngineStarted } from './addon.ts';
import { addonModelOf } from './addon-model.ts';
import type { Engine, EngineInfo, GeneratingEngine } from './engine.ts';
import type { EngineOptions } from './engine-options.ts';
import { loadAddon, variantOf } from './load-addon.ts';
import { type EmbedderOptions, NativeEmbedder } from './native-embedder.ts';
import { NativeGenerator } from './native-generator.ts';

/** The draft model does not fit the model. */
export class DraftModelError extends Error {
  /** The end of a sentence about the draft model. */
  readonly problem: string;

  constructor(problem: string) {
    super(`the draft model ${problem}`);
    this.name = 'DraftModelError';
    this.problem = problem;
  }
}

/**
 * Linux's nice value of the embedder's threads beside a generator. While the generator computes, they get a tenth of its
 * CPU time; while it rests, all of it.
 */
const nicenessBesideGenerator = 10;

/**
 * Starts an engine on a loaded model.
 * @throws {DraftModelError} when the draft model does not fit the model
 * @throws {Error} when the context cannot be created, or the chat template does not parse
 */
export async function createNativeEngine(given: EngineOptions): Promise<GeneratingEngine> {
  const { slotCount, kvTokenCount, defaultMaxTokens } = given;
  const contextLength = Math.min(given.contextLength, kvTokenCount);
  const options = { ...given, contextLength };
  const backend = variantOf(options.llamaGpu);
  const addon = loadAddon(backend);
  requireDraftModel(addon, options);
  const generator = new NativeGenerator(addon, options);
  const started = await generator.start();
  const { vocabularySize, infill, ...chat } = generator.capabilities;
  const embedder = new NativeEmbedder(addon, {
    ...options,
    embedding: options.embedding ?? { pooling: 'mean', contextLength, wholeInputs: false },
    niceness: nicenessBesideGenerator,
  });
  return {
    info: {
      backend,
      slotCount,
      contextLength,
      defaultMaxTokens,
      kvTokenCount,
      vocabularySize,
      infill,
      chat,
      embedding: embedder.capabilities,
      ...startedInfo(options, started),
    },
    generator,
    embedder,
    tokenizer: generator,
    stats: () => generator.stats(),
    close: async () => {
      await Promise.all([generator.close(), embedder.close()]);
    },
  };
}

/** Options of an engine that only embeds or ranks. Numbers were fitted to memory and validated. */
export interface EmbeddingEngineOptions extends Omit<EmbedderOptions, 'niceness'> {
  /** `llama.gpu`: the backend that node-llama-cpp chose; false is the CPU. */
  readonly llamaGpu: EngineOptions['llamaGpu'];
}

/**
 * Starts an engine without generator on a loaded model.
 * @throws {Error} when its context cannot be created
 */
export async function createEmbeddingEngine(options: EmbeddingEngineOptions): Promise<Engine> {
  const { contextLength } = options.embedding;
  const backend = variantOf(options.llamaGpu);
  const embedder = new NativeEmbedder(loadAddon(backend), { ...options, niceness: 0 });
  await embedder.start();
  return {
    info: {
      backend,
      slotCount: 1,
      contextLength,
      defaultMaxTokens: 0,
      kvTokenCount: contextLength,
      vocabularySize: embedder.vocabularySize,
      infill: false,
      chat: { tools: false, thinking: false, thinksByDefault: false },
      embedding: embedder.capabilities,
    },
    generator: undefined,
    embedder,
    tokenizer: embedder,
    stats: () => embedder.stats(),
    close: () => embedder.close(),
  };
}

/** How the engine thread decided on what was requested. */
function startedInfo(
  { speculative }: EngineOptions,
  started: EngineStarted,
): Pick<
  EngineInfo,
  | 'speculative'
  | 'speculativeDisabledReason'
  | 'backgroundPrefill'
  | 'backgroundPrefillDisabledReason'
> {
  const { speculativeDisabledReason, backgroundPrefillDisabledReason } = started;
  return {
    ...(speculative &&
      (speculativeDisabledReason === ''
        ? { speculative: speculative.kind }
        : { speculativeDisabledReason })),
    backgroundPrefill: started.backgroundPrefill,
    ...(backgroundPrefillDisabledReason !== '' && { backgroundPrefillDisabledReason }),
  };
}

/** @throws {DraftModelError} */
function requireDraftModel({ Engine: native }: Addon, { model, speculative }: EngineOptions): void {
  if (speculative?.model === undefined) return;
  const problem = native.draftProblem(addonModelOf(model), addonModelOf(speculative.model));
  if (problem !== '') throw new DraftModelError(problem);
}
