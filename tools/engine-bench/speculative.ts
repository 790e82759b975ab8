/**
 * Measures speculative decoding: tokens per second with and without it, one after the other in every round, on a
 * text that repeats its prompt and on a free text.
 *
 *     npm run bench:speculative -- --model big.gguf --draft small.gguf --streams 1,4
 *
 * Without `--model` the bundled model runs, whose results say little about other models. Without `--draft` only
 * n-gram lookup is measured.
 */
import { parseArgs } from 'node:util';
import { median } from '../../src/bench/statistics.ts';
import { settings } from '../../src/config/table.ts';
import { bundledModelPath } from '../../src/core/package-info.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { SpeculativeOptions } from '../../src/engine/engine-options.ts';
import { createNativeEngine } from '../../src/engine/native-engine.ts';
import { toTable } from '../../src/terminal/table.ts';
import { startLlama } from '../fixtures/start-llama.ts';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: bundledModelPath },
    draft: { type: 'string' },
    streams: { type: 'string', default: '1,4' },
    tokens: { type: 'string', default: '128' },
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string', default: '2' },
  },
});
const streamCounts = values.streams.split(',').map(Number);
const tokenCount = Number(values.tokens);
const roundCount = Number(values.rounds);
const contextLength = 1024 + tokenCount;

const list =
  'the red house, the blue boat, the old tower, the white bridge, the long river, the dark forest';
const texts = {
  repeats: `Repeat this list three times, word by word: ${list}.`,
  free: 'Tell me something I have not heard before.',
} as const;

const llama = await startLlama();
const model = await llama.loadModel({ modelPath: values.model });
const draft =
  values.draft === undefined ? undefined : await llama.loadModel({ modelPath: values.draft });

/** Starts an engine with the default settings. */
function start(kind: SpeculativeOptions['kind'] | undefined): Promise<GeneratingEngine> {
  const slotCount = Math.max(...streamCounts);
  return createNativeEngine({
    model,
    llamaGpu: llama.gpu,
    slotCount,
    contextLength,
    kvTokenCount: slotCount * contextLength,
    threadCount: Number(values.threads),
    batchSize: settings.BATCH_SIZE.fallback,
    ubatchSize: settings.UBATCH_SIZE.fallback,
    flashAttention: settings.FLASH_ATTENTION.fallback,
    cacheTypeK: settings.CACHE_TYPE_K.fallback,
    cacheTypeV: settings.CACHE_TYPE_V.fallback,
    speculative: kind && {
      kind,
      model: kind === 'draft' ? draft : undefined,
      minTokens: settings.DRAFT_MIN.fallback,
      maxTokens: settings.DRAFT_MAX.fallback,
      ngramSize: settings.NGRAM_SIZE.fallback,
      minProbability: settings.DRAFT_P_MIN.fallback,
    },
    defaultMaxTokens: tokenCount,
    samplingDefaults: {},
  });
}

/** Decode speed of `streamCount` concurrent streams, in tokens per second, all streams together. */
async function speedOf(
  engine: GeneratingEngine,
  text: string,
  streamCount: number,
): Promise<number> {
  const prompts = await Promise.all(
    Array.from({ length: streamCount }, (_, index) =>
      engine.generator.prepareChat([{ role: 'user', content: `${index}. ${text}` }]),
    ),
  );
  const rates = await Promise.all(
    prompts.map(async (prompt) => {
      const sampling = { temperature: 0, ignoreEos: true };
      for await (const event of engine.generator.generate({
        prompt,
        sampling,
        maxTokens: tokenCount,
      })) {
        if (event.type !== 'sequence-end') continue;
        return (event.usage.completionTokenCount - 1) / (event.timings.decodeMs / 1000);
      }
      return 0;
    }),
  );
  return rates.reduce((sum, rate) => sum + rate, 0);
}

const plain = await start(undefined);
const kinds = draft === undefined ? (['ngram'] as const) : (['ngram', 'draft'] as const);
const rows = [['draft', 'text', 'streams', 'tokens/s without', 'with', 'times', 'accepted']];
for (const kind of kinds) {
  const speculative = await start(kind);
  for (const [name, text] of Object.entries(texts)) {
    for (const streamCount of streamCounts) {
      const speeds: [number[], number[]] = [[], []];
      const before = speculative.stats();
      // The first round warms up, and the draft pacer learns the cost of steps.
      for (let round = -1; round < roundCount; round++) {
        const without = await speedOf(plain, text, streamCount);
        const with_ = await speedOf(speculative, text, streamCount);
        if (round < 0) continue;
        speeds[0].push(without);
        speeds[1].push(with_);
        process.stderr.write(`${kind}, ${name}: round ${round + 1} of ${roundCount}\n`);
      }
      const after = speculative.stats();
      const drafted = after.draftedTokenCount - before.draftedTokenCount;
      const accepted = after.acceptedTokenCount - before.acceptedTokenCount;
      const ratios = speeds[0].map((without, index) => (speeds[1][index] ?? 0) / without);
      rows.push([
        kind,
        name,
        String(streamCount),
        median(speeds[0]).toFixed(1),
        median(speeds[1]).toFixed(1),
        median(ratios).toFixed(2),
        drafted === 0 ? 'no drafts' : `${Math.round((100 * accepted) / drafted)} % of ${drafted}`,
      ]);
    }
  }
  await speculative.close();
}
console.log(toTable(rows));
await plain.close();
await draft?.dispose();
await model.dispose();
