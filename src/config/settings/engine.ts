import { choice, decimal, integer, processorList, text, truth } from '../../core/value-kinds.ts';
import { setting } from '../setting.ts';

const cacheType = () =>
  choice('f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'q4_1', 'iq4_nl', 'q5_0', 'q5_1');

/** Maximum count in llama.cpp, in tokens. */
export const maxTokenCount = 2 ** 31 - 1;
/** ggml's GGML_MAX_N_THREADS, less one. */
const maxProcessor = 511;

/** How the engine runs. */
export const engineSettings = {
  CTX: setting({
    at: 'engine.contextLength',
    kind: integer({ min: 1, max: maxTokenCount }),
    fallbackText: 'the training length of the model, at most 16384',
    summary: 'tokens of one request, prompt and completion together',
  }),
  PARALLEL: setting({
    at: 'engine.slotCount',
    kind: integer({ min: 1, max: 256 }),
    fallbackText: '4 on CPU, 16 on a GPU',
    summary: 'slots: requests that are generated at the same time',
    alias: 'MAX_CONCURRENT_REQUESTS',
  }),
  KV_TOKENS: setting({
    at: 'engine.kvTokenCount',
    kind: integer({ min: 1, max: maxTokenCount }),
    fallbackText: 'PARALLEL x CTX',
    summary: 'tokens in the KV cache of all slots together',
  }),
  KV_LAYOUT: setting({
    at: 'engine.kvLayout',
    kind: choice('auto', 'unified', 'split'),
    fallback: 'auto',
    summary:
      'unified = one KV cache for all requests, split = a part for each slot; auto = split where every slot has room',
  }),
  SWA_FULL: setting({
    at: 'engine.swaFull',
    kind: choice('auto', 'on', 'off'),
    fallback: 'auto',
    summary:
      'what sliding-window layers keep: on = every token, so that a request may continue any part of a cached prompt, off = their window; auto = the window where each slot has a part of the KV cache',
  }),
  THREADS: setting({
    at: 'engine.threadCount',
    kind: integer({ min: 0, max: maxProcessor + 1 }),
    fallback: 0,
    summary:
      'CPU compute threads; 0 = all cores, less one in eight for other work from 3 cores on, and fewer while other processes want these cores',
  }),
  THREAD_POLL: setting({
    at: 'engine.threadPoll',
    kind: integer({ min: 0, max: 100 }),
    fallbackText: '1 where the CPU computes, else 0',
    summary:
      'how long CPU threads spin between computations before they sleep; 0 = sleep at once, 1 = some milliseconds',
  }),
  CPU_AFFINITY: setting({
    at: 'engine.processors',
    kind: processorList({ max: maxProcessor }),
    fallbackText: 'any',
    summary: 'processors on which the CPU threads may run, like 0-3,8',
  }),
  BATCH_SIZE: setting({
    at: 'engine.batchSize',
    kind: integer({ min: 1, max: 65_536 }),
    fallback: 2048,
    summary: 'maximum number of tokens in one llama_decode call',
  }),
  UBATCH_SIZE: setting({
    at: 'engine.ubatchSize',
    kind: integer({ min: 1, max: 65_536 }),
    fallback: 512,
    summary: 'tokens computed at once; at most BATCH_SIZE',
  }),
  CPU_KERNELS: setting({
    at: 'engine.cpuKernels',
    kind: truth(),
    fallbackText: 'on, but off on ARM',
    summary:
      "on Linux, multiply and compute attention with kernels faster than llama.cpp's (AVX2, AVX-512, AMX; NEON: attention and weights that are floats, not measured yet); results are equal but for rounding",
  }),
  BACKGROUND_PREFILL: setting({
    at: 'engine.backgroundPrefill',
    kind: truth(),
    fallbackText: 'on where attention is not computed by CPU_KERNELS',
    summary:
      'on a CPU, compute long prompts in a second context, between the steps of running requests (memory of one more slot)',
    alias: 'PROMPT_LANE',
  }),
  STEP_TARGET_MS: setting({
    at: 'engine.stepTargetMs',
    kind: integer({ min: 1, max: 60_000 }),
    fallback: 50,
    summary:
      'milliseconds by which a prompt may delay the next token of running streams; more where decoding alone takes longer, or where smaller pieces of the prompt would cost much more',
  }),
  STREAM_INTERVAL_MS: setting({
    at: 'engine.streamIntervalMs',
    kind: integer({ min: 0, max: 1000 }),
    fallbackText: '16 on a CPU whose cores all compute, else 0',
    summary:
      'milliseconds, and the rest of a step, for which tokens of a running stream may wait to be sent together; 0 = send each at once',
  }),
  FLASH_ATTENTION: setting({
    at: 'engine.flashAttention',
    kind: choice('auto', 'on', 'off'),
    fallback: 'auto',
    summary: 'flash attention',
  }),
  CACHE_TYPE_K: setting({
    at: 'engine.cacheTypeK',
    kind: cacheType(),
    fallback: 'f16',
    summary: 'type of the K cache: f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0, q5_1',
  }),
  CACHE_TYPE_V: setting({
    at: 'engine.cacheTypeV',
    kind: cacheType(),
    fallback: 'f16',
    summary: 'type of the V cache; a quantised one needs flash attention',
  }),
  CACHE_RAM: setting({
    at: 'engine.cacheRamMib',
    kind: integer({ min: 0, max: maxTokenCount }),
    fallbackText: 'a quarter of the memory that is free, at most 8192',
    summary:
      'on a CPU, MiB of memory beside the KV cache for conversations that have to leave it, from where they come back when they go on; 0 = none',
  }),
  POOLING: setting({
    at: 'engine.pooling',
    kind: choice('auto', 'mean', 'cls', 'last'),
    fallback: 'auto',
    summary:
      'how embeddings pool the vectors of all tokens into one; auto = as the file says, else mean',
  }),
  SPECULATIVE: setting({
    at: 'engine.speculative.kind',
    kind: choice('off', 'ngram', 'draft'),
    fallback: 'off',
    none: 'off',
    summary:
      'draft tokens and verify them in one step: ngram finds drafts in the text, draft computes them with a smaller model',
  }),
  DRAFT_MODEL_PATH: setting({
    at: 'engine.speculative.draftModelPath',
    kind: text('PATH'),
    fallbackText: 'none',
    summary: 'GGUF file of the smaller model, with the same vocabulary; with SPECULATIVE=draft',
  }),
  DRAFT_MAX: setting({
    at: 'engine.speculative.maxTokens',
    kind: integer({ min: 1, max: 64 }),
    fallback: 8,
    summary: 'maximum number of tokens in a draft; fewer where more do not pay',
  }),
  DRAFT_MIN: setting({
    at: 'engine.speculative.minTokens',
    kind: integer({ min: 1, max: 64 }),
    fallback: 1,
    summary: 'shorter drafts are not verified; at most DRAFT_MAX',
  }),
  DRAFT_P_MIN: setting({
    at: 'engine.speculative.minProbability',
    kind: decimal({ min: 0, max: 1 }),
    fallback: 0.75,
    summary: 'minimum probability of a token that the draft model drafts',
  }),
  NGRAM_SIZE: setting({
    at: 'engine.speculative.ngramSize',
    kind: integer({ min: 2, max: 64 }),
    fallback: 4,
    summary: 'tokens in a row that ngram must find earlier in the text',
  }),
  MAX_TOKENS: setting({
    at: 'engine.defaultMaxTokens',
    kind: integer({ min: 1, max: maxTokenCount }),
    fallback: 4096,
    summary: 'completion tokens of a request that names no limit',
  }),
};
