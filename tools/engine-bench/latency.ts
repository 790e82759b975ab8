/**
 * Measures in process how streams affect each other, on the benchmark's 135M-parameter model (`--shape` and `--gpu`
 * as in `npm run bench`; `--model` takes another file, `bundled` means the bundled model):
 *
 * - `shared`: 16 chats at once over one new prefix of 1000 tokens, against one cold prefill of that length, and
 *   the number of prompt tokens the engine computed for them.
 * - `stall`: four running streams while a prompt of 4000 tokens arrives: the times between their tokens, and the
 *   speed of the long prefill against its speed alone.
 * - `late`: a short chat that arrives while a prompt of 4000 tokens is computed alone: time to its first token, and
 *   the time of the long prompt without other requests.
 * - `compaction`: sixteen streams of which every other one ends: time between the tokens of the eight remaining
 *   streams, against eight streams that started alone.
 * - `turns`: a conversation of ten turns whose last turn asks what the first one asked: time to the first token of
 *   both, and prompt tokens computed at the last. The bundled model gets questions that it can answer and stops at
 *   its own end of generation; any other model gets random words and generates 24 tokens.
 *
 *     npm run bench:latency -- --threads 2 --rounds 3
 *     npm run bench:latency -- --only turns --model bundled
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { median, statsOf } from '../../src/bench/statistics.ts';
import type { ChatMessage } from '../../src/engine/chat.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { TokenUsage } from '../../src/engine/generator.ts';
import { createNativeEngine } from '../../src/engine/native-engine.ts';
import { toTable } from '../../src/terminal/table.ts';
import { shapeNames } from '../bench-models/shapes.ts';
import { benchModel } from '../bench-models/weights.ts';
import { startLlama } from '../fixtures/start-llama.ts';
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
    only: { type: 'string', default: 'shared,stall,late,compaction,turns' },
    model: { type: 'string' },
    shape: { type: 'string', default: '135m' },
    gpu: { type: 'string', default: 'off' },
    'kv-layout': { type: 'string', default: 'auto' },
    'step-target-ms': { type: 'string', default: '50' },
    'flash-attention': { type: 'string', default: 'auto' },
    'background-prefill': { type: 'string', default: 'off' },
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

/** Arrival times of the pieces of one reply, in milliseconds after its request, and what the reply cost. */
interface Timeline {
  readonly text: string;
  readonly timesMs: readonly number[];
  readonly usage: TokenUsage;
  readonly prefillMs: number;
}

function newEngine(slotCount: number, contextLength: number): Promise<GeneratingEngine> {
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
    backgroundPrefill: values['background-prefill'] === 'on',
    defaultMaxTokens: contextLength,
    samplingDefaults: {},
  });
}

async function ask(
  engine: GeneratingEngine,
  messages: readonly ChatMessage[],
  maxTokens: number,
  { onFirst, ignoreEos = true }: { onFirst?: () => void; ignoreEos?: boolean } = {},
): Promise<Timeline> {
  const startedAt = performance.now();
  const prompt = await engine.generator.prepareChat(messages);
  const timesMs: number[] = [];
  let text = '';
  const sampling = { temperature: 0, ignoreEos };
  for await (const event of engine.generator.generate({ prompt, maxTokens, sampling })) {
    if (event.type === 'sequence-end') {
      return { text, timesMs, usage: event.usage, prefillMs: event.timings.prefillMs };
    }
    if (event.type !== 'text-delta') continue;
    text += event.text;
    timesMs.push(performance.now() - startedAt);
    if (timesMs.length === 1) onFirst?.();
  }
  throw new Error('the stream ended without a sequence-end event');
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
  const bounds: number[] = [];
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
    // The prefix once, and the own tokens of each chat: the question and the template around it.
    const own = (chats[0]?.usage.promptTokenCount ?? 0) - sharedTokenCount;
    bounds.push(sharedTokenCount + chatCount * (own + 1));
    progress('shared', round);
  }
  await engine.close();
  console.log(
    toTable([
      ['16 chats over one prefix', 'median'],
      ['last first token / one cold prefill', median(ratios).toFixed(2)],
      ['prompt tokens computed', String(median(computed))],
      ['prefix + 16 x (own + 1)', String(median(bounds))],
    ]),
  );
}

async function stall(): Promise<void> {
  const engine = await newEngine(5, 8192);
  const long = () => ask(engine, [user(words(longTokenCount))], 2);
  await ask(engine, [user(words(600))], 16);
  const besideMs: number[] = [];
  const aloneMs: number[] = [];
  const speeds: number[] = [];
  for (let round = 0; round < roundCount; round++) {
    const alone = await long();
    let startedCount = 0;
    let startLong: (() => void) | undefined;
    const allStarted = new Promise<void>((resolve) => {
      startLong = resolve;
    });
    const maxTokens = 400;
    const streams = Array.from({ length: 4 }, () =>
      ask(engine, [user(words(20))], maxTokens, {
        onFirst: () => {
          startedCount += 1;
          if (startedCount === 4) startLong?.();
        },
      }),
    );
    await allStarted;
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const arrivedAt = performance.now();
    const beside = await long();
    const endedAt = performance.now();
    speeds.push(alone.prefillMs / beside.prefillMs);
    for (const { timesMs } of await Promise.all(streams)) {
      const longMs = endedAt - arrivedAt;
      const from = (timesMs.at(0) ?? 0) + 1000;
      for (let index = 1; index < timesMs.length; index++) {
        const at = timesMs[index] ?? 0;
        const gap = at - (timesMs[index - 1] ?? 0);
        if (at < from) aloneMs.push(gap);
        else if (at < from + longMs) besideMs.push(gap);
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
      ['time between tokens of 4 streams, ms', 'p50', 'p99', 'max'],
      ['without the prompt', ...shown(aloneMs)],
      [`while ${longTokenCount} tokens are prefilled`, ...shown(besideMs)],
    ]),
  );
  console.log(`prefill speed beside the streams / alone: ${median(speeds).toFixed(2)}\n`);
}

/** A short chat that arrives while a long prompt is computed and no sequence decodes. */
async function late(): Promise<void> {
  const engine = await newEngine(4, 8192);
  const long = () => ask(engine, [user(words(longTokenCount))], 2);
  const short = () => ask(engine, [user(words(20))], 4);
  await ask(engine, [user(words(600))], 16);
  const alone: number[] = [];
  const beside: number[] = [];
  const longMs: number[] = [];
  for (let round = 0; round < roundCount; round++) {
    alone.push((await short()).timesMs[0] ?? Number.NaN);
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
  const max = statsOf(beside).max ?? Number.NaN;
  console.log(
    toTable([
      [`a short chat while ${longTokenCount} tokens are prefilled`, 'ms'],
      ['first token, alone', median(alone).toFixed(0)],
      ['first token, median', median(beside).toFixed(0)],
      ['first token, maximum', max.toFixed(0)],
      ['the long prompt, alone', median(longMs).toFixed(0)],
    ]),
  );
}

/** Streams with gaps between them in the cache, because the streams in between have ended. */
async function compaction(): Promise<void> {
  const engine = await newEngine(chatCount, 1024);
  const half = chatCount / 2;
  const longMax = 160;
  const ratios: number[] = [];
  const alone: number[] = [];
  const movedBefore = engine.stats().movedSequenceCount;
  const streams = (count: number, maxTokensOf: (index: number) => number) =>
    Promise.all(
      Array.from({ length: count }, (_, index) =>
        ask(engine, [user(words(20))], maxTokensOf(index)),
      ),
    );
  /** Time between the last hundred tokens, while only the long streams run. */
  const intervalOf = (timelines: readonly Timeline[]) =>
    median(
      timelines
        .filter(({ timesMs }) => timesMs.length > longMax / 2)
        .map(({ timesMs }) => ((timesMs.at(-1) ?? 0) - (timesMs.at(-101) ?? 0)) / 100),
    );
  await streams(chatCount, () => 8);
  for (let round = 0; round < roundCount; round++) {
    const fresh = intervalOf(await streams(half, () => longMax));
    const remaining = intervalOf(
      await streams(chatCount, (index) => (index % 2 === 0 ? longMax : 16)),
    );
    alone.push(fresh);
    ratios.push(remaining / fresh);
    progress('compaction', round);
  }
  const moves = (engine.stats().movedSequenceCount - movedBefore) / roundCount;
  await engine.close();
  console.log(
    toTable([
      [`${half} remaining streams of ${chatCount}`, 'median'],
      [`time between tokens of ${half} streams that started alone, ms`, median(alone).toFixed(1)],
      [`time of ${half} remaining streams ÷ that`, median(ratios).toFixed(2)],
      ['sequences moved per round', moves.toFixed(1)],
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
      ['ten turns, the last equal to the first', 'median'],
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
if (parts.includes('compaction')) await compaction();
if (parts.includes('turns')) await turns();
await model.dispose();
await llama.dispose();
