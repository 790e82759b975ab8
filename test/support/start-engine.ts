/**
 * A real engine on a model the test wrote, the bundled one, or the one `TEST_MODEL` names.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Llama, LlamaModel } from 'node-llama-cpp';
import { createEmbeddingEngine } from '../../src/engine/embedding-engine.ts';
import type {
  ChatMessage,
  Engine,
  EngineEvent,
  GenerateRequest,
  SamplingParams,
  ScoredToken,
} from '../../src/engine/engine.ts';
import type { EmbeddingOptions } from '../../src/engine/lazy-embedder.ts';
import { createNativeEngine, type EngineOptions } from '../../src/engine/native-engine.ts';
import { type GgufSpec, writeGguf } from './gguf-writer.ts';
import { startLlama } from './start-llama.ts';
import { type ModelShape, tinyModelSpec } from './tiny-model.ts';

/** Another trained model to try beside the bundled one; unset in a plain clone. */
export const testModelPath = process.env.TEST_MODEL;

/**
 * Texts that must be equal are: no flash attention, whose rounding on the CPU depends on the shape of the
 * batch, and caches in F32, since sums over a shared cache depend in the last bit on where its cells lie,
 * and a value that then rounds to another F16 moves logits by a thousandth. One thread: a tiny model spends
 * its time at barriers otherwise.
 */
const engineDefaults = {
  slotCount: 4,
  contextLength: 512,
  threadCount: 1,
  batchSize: 2048,
  ubatchSize: 512,
  kvLayout: 'unified',
  flashAttention: 'off',
  cacheTypeK: 'f32',
  cacheTypeV: 'f32',
  defaultMaxTokens: 64,
  samplingDefaults: {},
} as const;

let llama: Promise<Llama> | undefined;

/** llama.cpp on the CPU, one for the process. */
function cpuLlama(): Promise<Llama> {
  llama ??= startLlama({ gpu: false });
  return llama;
}

/** A model in memory and what must be undone. */
export interface LoadedModel {
  readonly model: LlamaModel;
  readonly path: string;
  dispose(): Promise<void>;
}

/** Loads `path`, or writes a file, or a tiny random model of the given shape, and loads that. */
export async function loadModel(
  source: string | GgufSpec | Partial<ModelShape> = {},
): Promise<LoadedModel> {
  const runtime = await cpuLlama();
  const dir = mkdtempSync(join(tmpdir(), 'lgi-model-'));
  const path = typeof source === 'string' ? source : join(dir, 'tiny.gguf');
  if (typeof source !== 'string') {
    writeGguf(path, 'tensors' in source ? source : tinyModelSpec(source));
  }
  const model = await runtime.loadModel({ modelPath: path });
  return {
    model,
    path,
    async dispose() {
      await model.dispose();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/**
 * llama.cpp's grammars count some bytes that are no UTF-8 as one character, where a reader sees several. A
 * trained model does not write them; a random one is kept from it.
 */
export const noStrayBytes: SamplingParams = {
  temperature: 1,
  logitBias: Array.from({ length: 128 }, (_, index) => [0x80 + index, -100]),
};

/** Starts an engine on a loaded model; the KV cache has room for every slot unless told otherwise. */
export function startEngine(
  model: LlamaModel,
  options: Partial<Omit<EngineOptions, 'model' | 'llamaGpu'>> = {},
): Promise<Engine> {
  const merged = { ...engineDefaults, ...options };
  const kvTokenCount = options.kvTokenCount ?? merged.slotCount * merged.contextLength;
  return createNativeEngine({ ...merged, kvTokenCount, model, llamaGpu: false });
}

/** Starts an engine that only embeds or ranks, on a model that sees an input as a whole. */
export function startEmbeddingEngine(
  model: LlamaModel,
  options: Partial<EmbeddingOptions> = {},
): Promise<Engine> {
  const { threadCount, ubatchSize, flashAttention, cacheTypeK, cacheTypeV } = engineDefaults;
  return createEmbeddingEngine({
    model,
    llamaGpu: false,
    threadCount,
    ubatchSize,
    flashAttention,
    cacheTypeK,
    cacheTypeV,
    embedding: { pooling: 'mean', contextLength: 128, wholeInputs: true, ...options },
  });
}

/** What a request came to. */
export interface Completion {
  readonly text: string;
  readonly deltas: readonly string[];
  /** Of the deltas and the end; only where the request asks for log probabilities. */
  readonly tokens: readonly ScoredToken[];
  readonly end: Extract<EngineEvent, { type: 'sequence-end' }>;
}

/** Runs one chat to its end, greedily unless told otherwise. */
export async function complete(
  engine: Engine,
  content: string | readonly ChatMessage[],
  request: Omit<GenerateRequest, 'prompt'> = {},
  signal?: AbortSignal,
): Promise<Completion> {
  const messages = typeof content === 'string' ? [{ role: 'user', content } as const] : content;
  const prompt = await engine.prepareChat(messages);
  return collect(engine.generate({ sampling: { temperature: 0 }, ...request, prompt }, signal));
}

/** Reads a generation to its end. */
export async function collect(events: AsyncIterable<EngineEvent>): Promise<Completion> {
  const deltas: string[] = [];
  const tokens: ScoredToken[] = [];
  for await (const event of events) {
    if (event.type !== 'prompt-delta') tokens.push(...(event.tokens ?? []));
    if (event.type === 'sequence-end') return { text: deltas.join(''), deltas, tokens, end: event };
    if (event.type === 'text-delta') deltas.push(event.text);
  }
  throw new Error('the stream ended without sequence-end');
}

/** What is asked for where the shape of a batch rounds, so that texts may differ: {@link logprobGap} compares it. */
export const firstLikeliest = { topCount: 20, prompt: false };

/** By how much the log probabilities of two first tokens differ at most, of those that both name. */
export function logprobGap(one: Completion, other: Completion): number {
  const top = (completion: Completion) =>
    new Map(
      completion.tokens[0]?.top.map(({ bytes, logprob }) => [bytes.toString('latin1'), logprob]),
    );
  const [ours, theirs] = [top(one), top(other)];
  const common = [...ours.keys()].filter((bytes) => theirs.has(bytes));
  if (common.length < firstLikeliest.topCount / 2) return Number.POSITIVE_INFINITY;
  return Math.max(
    ...common.map((bytes) => Math.abs((ours.get(bytes) ?? 0) - (theirs.get(bytes) ?? 0))),
  );
}

/** Resolves once the engine says so; for states that come within a step. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
