/**
 * Compares the sampling time of several threads with that of one: 32 sequences over a vocabulary of 151,936
 * tokens, with llama.cpp's default samplers. The model is tiny, so sampling takes almost all of a step.
 *
 *     npm run bench:sampling -- --threads 2 --rounds 5
 */
import { parseArgs } from 'node:util';
import { median } from '../../src/bench/statistics.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import { toTable } from '../../src/terminal/table.ts';
import { collect, loadModel, startEngine } from '../fixtures/start-engine.ts';
import { tinyVocabulary } from '../fixtures/tiny-vocabulary.ts';

const vocabularySize = 151_936;
const sequenceCount = 32;

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
    tokens: { type: 'string', default: '24' },
  },
});
const threadCount = Number(values.threads);
const roundCount = Number(values.rounds);
const tokenCount = Number(values.tokens);

const samplings = {
  'default samplers': { seed: 1n },
  greedy: { temperature: 0 },
} as const;

/** The tiny vocabulary, filled up with words that occur in no text. */
function largeVocabulary() {
  const vocabulary = tinyVocabulary();
  const missing = vocabularySize - vocabulary.tokens.length;
  const fillers = Array.from({ length: missing }, (_, index) => `filler${index}`);
  return { ...vocabulary, tokens: [...vocabulary.tokens, ...fillers] };
}

/** Sampling time per step, in milliseconds. */
async function samplingMsPerStep(engine: GeneratingEngine, sampling: object): Promise<number> {
  const prompt = await engine.generator.prepareChat([{ role: 'user', content: 'go on' }]);
  const before = engine.stats();
  await Promise.all(
    Array.from({ length: sequenceCount }, () =>
      collect(
        engine.generator.generate({
          prompt,
          maxTokens: tokenCount,
          sampling: { ...sampling, ignoreEos: true },
        }),
      ),
    ),
  );
  const after = engine.stats();
  return (after.samplingMs - before.samplingMs) / (after.decodeCallCount - before.decodeCallCount);
}

const loaded = await loadModel({ width: 32, layerCount: 1, vocabulary: largeVocabulary() });
const start = (samplingThreadCount: number) =>
  startEngine(loaded.model, {
    slotCount: sequenceCount,
    contextLength: 256,
    threadCount,
    samplingThreadCount,
  });
const engines = [await start(1), await start(threadCount)] as const;

const rows: string[][] = [
  ['samplers', '1 thread, ms per step', `${threadCount} threads`, 'times as fast'],
];
for (const [name, sampling] of Object.entries(samplings)) {
  const times: [number[], number[]] = [[], []];
  const ratios: number[] = [];
  for (let round = -1; round < roundCount; round++) {
    const one = await samplingMsPerStep(engines[0], sampling);
    const many = await samplingMsPerStep(engines[1], sampling);
    // The first round warms up.
    if (round < 0) continue;
    times[0].push(one);
    times[1].push(many);
    ratios.push(one / many);
    process.stderr.write(`${name}: round ${round + 1} of ${roundCount}\n`);
  }
  rows.push([
    name,
    median(times[0]).toFixed(2),
    median(times[1]).toFixed(2),
    median(ratios).toFixed(2),
  ]);
}
console.log(toTable(rows));
for (const engine of engines) await engine.close();
await loaded.dispose();
