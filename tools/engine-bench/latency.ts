/**
 * What streams feel of each other, in process, on the benchmark's 135M-parameter model (`--shape` and
 * `--gpu` as in `npm run bench`; `--model` takes another file, `bundled` the bundled one):
 *
 * - `shared`: 16 chats at once over one new prefix of 1000 tokens, against one cold prefill of that
 *   length; and how many prompt tokens the engine computed for them.
 * - `stall`: four running streams while a prompt of 4000 tokens arrives: the gaps between their tokens,
 *   and the speed of the long prefill against its speed alone.
 * - `late`: a short chat that comes while a prompt of 4000 tokens is computed alone: time to its first
 *   token; and whether the long prompt pays for that when nobody comes.
 * - `gaps`: sixteen streams of which every other one ends: time between the tokens of the eight that are
 *   left, against that of eight which came alone.
 * - `turns`: a conversation of ten turns whose last asks what the first one asked: time to the first
 *   token of both, and prompt tokens computed at the last. The bundled model is asked what it knows how
 *   to answer and stops where it wants to; any other is given words and goes on for 24 tokens.
 *
 *     npm run bench:latency -- --threads 2 --rounds 3
 *     npm run bench:latency -- --only turns --model bundled
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { median, statsOf } from '../../src/bench/statistics.ts';
import type { ChatMessage, Engine, TokenUsage } from '../../src/engine/engine.ts';
import { createNativeEngine } from '../../src/engine/native-engine.ts';
import { toTable } from '../../src/terminal/table.ts';
import { startLlama } from '../fixtures/start-llama.ts';
import { benchModel, shapeNames } from './model.ts';
import { gpuNames } from './options.ts';
import { PromptSource } from './prompts.ts';

const sharedTokenCount = 1000;
const chatCount = 16;
const longTokenCount = 4000;
const turnCount = 10;

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: 'shared,stall,late,gaps,turns' },
    model: { type: 'string' },
    shape: { type: 'string', default: '135m' },
    gpu: { type: 'string', default: 'off' },
    'kv-layout': { type: 'string', default: 'auto' },
    'step-target-ms': { type: 'string', default: '50' },
    'flash-attention': { type: 'string', default: 'auto' },
    'prompt-lane': { type: 'string', default: 'on' },
  },
});
const threadCount = Number(values.threads);
const roundCount = Number(values.rounds);
const parts = values.only.split(',');
const stepTargetMs = Number(values['step-target-ms']);
const flashAttention =
  (['on', 'off'] as const).find((name) => name === values['flash-attention']) ?? 'auto';
const gpu = gpuNames.find((name) => name === values.gpu) ?? 'off';
const shapeName = shapeNames.find((name) => name === values.shape) ?? '135m';
const kvLayout = (['unified', 'split'] as const).find((name) => name === values['kv-layout']);

const llama = await startLlama({ gpu: gpu === 'off' ? false : gpu });
const isBundled = values.model === 'bundled';
const modelPath = isBundled
  ? fileURLToPath(new URL('../../models/tiny-chat.gguf', import.meta.url))
  : (values.model ?? (await benchModel(shapeName, 'Q8_0')));
const model = await llama.loadModel({ modelPath, gpuLayers: 'max' });
const prompts = new PromptSource(model);

/** When each piece of a reply came, from the moment it was asked for, and what it cost. */
interface Timeline {
  readonly text: string;
  readonly timesMs: readonly number[];
  readonly usage: TokenUsage;
  readonly prefillMs: number;
}

function newEngine(slotCount: number, contextLength: number): Promise<Engine> {
  return createNativeEngine({
    model,
    llamaGpu: llama.gpu,
    slotCount,
    contextLength,
    kvTokenCount: slotCount * contextLength,
    threadCount,
    kvLayout: kvLayout ?? 'auto',
    batchSize: 2048,
    ubatchSize: 512,
    stepTargetMs,
    flashAttention,
    cacheTypeK: 'f16',
    cacheTypeV: 'f16',
    backgroundPrefill: values['prompt-lane'] === 'on',
    defaultMaxTokens: contextLength,
    samplingDefaults: {},
  });
}

async function ask(
  engine: Engine,
  messages: readonly ChatMessage[],
  maxTokens: number,
  { onFirst, ignoreEos = true }: { onFirst?: () => void; ignoreEos?: boolean } = {},
): Promise<Timeline> {
  const startedAt = performance.now();
  const prompt = await engine.prepareChat(messages);
  const timesMs: number[] = [];
  let text = '';
  const sampling = { temperature: 0, ignoreEos };
  for await (const event of engine.generate({ prompt, maxTokens, sampling })) {
    if (event.type === 'sequence-end') {
      return { text, timesMs, usage: event.usage, prefillMs: event.timings.prefillMs };
    }
    if (event.type !== 'text-delta') continue;
    text += event.text;
    timesMs.push(performance.now() - startedAt);
    if (timesMs.length === 1) onFirst?.();
  }
  throw new Error('the stream ended without its end');
}

const words = (count: number) => prompts.take(1, count)[0]?.text ?? '';
const system = (content: string): ChatMessage => ({ role: 'system', content });
const user = (content: string): ChatMessage => ({ role: 'user', content });
const progress = (what: string, round: number) =>
  process.stderr.write(`${what}: round ${round + 1} of ${roundCount}\n`);

async function shared(): Promise<void> {
  const engine = await newEngine(chatCount, 2048);
  await ask(engine, [user(words(600))], 4);
  const ratios: number[] = [];
  const computed: number[] = [];
  const allowed: number[] = [];
  for (let round = 0; round < roundCount; round++) {
    const alone = await ask(engine, [system(words(sharedTokenCount)), user(words(12))], 2);
    const prefix = system(words(sharedTokenCount));
    const before = engine.stats().prefilledTokenCount;
    const chats = await Promise.all(
      Array.from({ length: chatCount }, () => ask(engine, [prefix, user(words(12))], 8)),
    );
    const lastMs = Math.max(...chats.map(({ timesMs }) => timesMs[0] ?? Number.NaN));
    ratios.push(lastMs / (alone.timesMs[0] ?? Number.NaN));
    computed.push(engine.stats().prefilledTokenCount - before);
    // The prefix once, and of each chat what is its own: the question and the template around it.
    const own = (chats[0]?.usage.promptTokenCount ?? 0) - sharedTokenCount;
    allowed.push(sharedTokenCount + chatCount * (own + 1));
    progress('shared', round);
  }
  await engine.close();
  console.log(
    toTable([
      ['16 chats over one prefix', 'median'],
      ['last first token / one cold prefill', median(ratios).toFixed(2)],
      ['prompt tokens computed', String(median(computed))],
      ['prefix + 16 x (own + 1)', String(median(allowed))],
    ]),
  );
}

async function stall(): Promise<void> {
  const engine = await newEngine(5, 8192);
  const long = () => ask(engine, [user(words(longTokenCount))], 2);
  await ask(engine, [user(words(600))], 16);
  const gaps: number[] = [];
  const calm: number[] = [];
  const speeds: number[] = [];
  for (let round = 0; round < roundCount; round++) {
    const alone = await long();
    let begun = 0;
    let startLong: (() => void) | undefined;
    const allBegan = new Promise<void>((resolve) => {
      startLong = resolve;
    });
    const maxTokens = 400;
    const streams = Array.from({ length: 4 }, () =>
      ask(engine, [user(words(20))], maxTokens, {
        onFirst: () => {
          begun += 1;
          if (begun === 4) startLong?.();
        },
      }),
    );
    await allBegan;
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const arrivedAt = performance.now();
    const beside = await long();
    const goneAt = performance.now();
    speeds.push(alone.prefillMs / beside.prefillMs);
    for (const { timesMs } of await Promise.all(streams)) {
      const longMs = goneAt - arrivedAt;
      const from = (timesMs.at(0) ?? 0) + 1000;
      for (let index = 1; index < timesMs.length; index++) {
        const at = timesMs[index] ?? 0;
        const gap = at - (timesMs[index - 1] ?? 0);
        if (at < from) calm.push(gap);
        else if (at < from + longMs) gaps.push(gap);
      }
    }
    progress('stall', round);
  }
  await engine.close();
  const shown = (list: readonly number[]) => {
    const { p50, p99, max } = statsOf(list);
    return [p50, p99, max].map((value) => (value ?? Number.NaN).toFixed(1));
  };
  console.log(
    toTable([
      ['gap between tokens of 4 streams, ms', 'p50', 'p99', 'max'],
      ['calm', ...shown(calm)],
      [`while ${longTokenCount} tokens are prefilled`, ...shown(gaps)],
    ]),
  );
  console.log(`prefill speed beside them / alone: ${median(speeds).toFixed(2)}\n`);
}

/** A short chat that comes while a long prompt is computed and nobody decodes. */
async function late(): Promise<void> {
  const engine = await newEngine(4, 8192);
  const long = () => ask(engine, [user(words(longTokenCount))], 2);
  const short = () => ask(engine, [user(words(20))], 4);
  await ask(engine, [user(words(600))], 16);
  const calm: number[] = [];
  const beside: number[] = [];
  const longMs: number[] = [];
  for (let round = 0; round < roundCount; round++) {
    calm.push((await short()).timesMs[0] ?? Number.NaN);
    longMs.push((await long()).prefillMs);
    const running = long();
    for (let chat = 0; chat < 4; chat++) {
      await new Promise((resolve) => setTimeout(resolve, 800));
      beside.push((await short()).timesMs[0] ?? Number.NaN);
    }
    await running;
    progress('late', round);
  }
  await engine.close();
  const worst = statsOf(beside).max ?? Number.NaN;
  console.log(
    toTable([
      [`a short chat while ${longTokenCount} tokens are prefilled`, 'ms'],
      ['first token, nobody else there', median(calm).toFixed(0)],
      ['first token, median', median(beside).toFixed(0)],
      ['first token, longest', worst.toFixed(0)],
      ['the long prompt, nobody else there', median(longMs).toFixed(0)],
    ]),
  );
}

/** Streams that lie apart in the cache, because those between them have ended. */
async function gaps(): Promise<void> {
  const engine = await newEngine(chatCount, 1024);
  const half = chatCount / 2;
  const longMax = 160;
  const ratios: number[] = [];
  const alone: number[] = [];
  const moved = engine.stats().movedSequenceCount;
  const streams = (count: number, maxTokensOf: (index: number) => number) =>
    Promise.all(
      Array.from({ length: count }, (_, index) =>
        ask(engine, [user(words(20))], maxTokensOf(index)),
      ),
    );
  /** Of the last hundred tokens, when only the long streams run. */
  const gapOf = (timelines: readonly Timeline[]) =>
    median(
      timelines
        .filter(({ timesMs }) => timesMs.length > longMax / 2)
        .map(({ timesMs }) => ((timesMs.at(-1) ?? 0) - (timesMs.at(-101) ?? 0)) / 100),
    );
  await streams(chatCount, () => 8);
  for (let round = 0; round < roundCount; round++) {
    const fresh = gapOf(await streams(half, () => longMax));
    const left = gapOf(await streams(chatCount, (index) => (index % 2 === 0 ? longMax : 16)));
    alone.push(fresh);
    ratios.push(left / fresh);
    progress('gaps', round);
  }
  const moves = (engine.stats().movedSequenceCount - moved) / roundCount;
  await engine.close();
  console.log(
    toTable([
      [`${half} streams left of ${chatCount}`, 'median'],
      [`time between tokens of ${half} that came alone, ms`, median(alone).toFixed(1)],
      [`of ${half} that are left ÷ that`, median(ratios).toFixed(2)],
      ['sequences moved a round', moves.toFixed(1)],
    ]),
  );
}

async function turns(): Promise<void> {
  const engine = await newEngine(4, 4096);
  await ask(engine, [user(words(600))], 4);
  const question = () => user(isBundled ? `Please repeat: ${words(6)}` : words(40));
  const first: number[] = [];
  const last: number[] = [];
  const own: number[] = [];
  const computed: number[] = [];
  for (let round = 0; round < roundCount; round++) {
    const messages: ChatMessage[] = [];
    const asked = question();
    for (let turn = 1; turn <= turnCount; turn++) {
      messages.push(turn === 1 || turn === turnCount ? asked : question());
      const reply = await ask(engine, messages, 24, { ignoreEos: !isBundled });
      messages.push({ role: 'assistant', content: reply.text });
      const { promptTokenCount, cachedTokenCount } = reply.usage;
      if (turn === 1) {
        first.push(reply.timesMs[0] ?? Number.NaN);
        own.push(promptTokenCount);
      }
      if (turn === turnCount) {
        last.push(reply.timesMs[0] ?? Number.NaN);
        computed.push(promptTokenCount - cachedTokenCount);
      }
    }
    progress('turns', round);
  }
  await engine.close();
  const ratios = last.map((ms, round) => ms / (first[round] ?? Number.NaN));
  console.log(
    toTable([
      ['ten turns, the last as the first', 'median'],
      ['first token of turn 1, ms', median(first).toFixed(1)],
      ['first token of turn 10, ms', median(last).toFixed(1)],
      ['turn 10 / turn 1', median(ratios).toFixed(2)],
      ['prompt tokens of turn 1', String(median(own))],
      ['prompt tokens computed at turn 10', String(median(computed))],
    ]),
  );
}

if (parts.includes('shared')) await shared();
if (parts.includes('stall')) await stall();
if (parts.includes('late')) await late();
if (parts.includes('gaps')) await gaps();
if (parts.includes('turns')) await turns();
await model.dispose();
await llama.dispose();
