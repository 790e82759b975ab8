/**
 * `npm run bench`: measures the engine and the server as ratios to a bare llama.cpp loop. The contestants take
 * turns within every round of one run, so a machine that slows down during the run slows all contestants.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Llama, LlamaModel } from 'node-llama-cpp';
import { describeMachine } from '../../src/bench/machine.ts';
import { createProgress, type Progress } from '../../src/bench/progress.ts';
import { benchModel } from '../bench-models/weights.ts';
import { UsageError } from '../fixtures/bench-flags.ts';
import { startLlama } from '../fixtures/start-llama.ts';
import { type Contestant, checkCounts } from './contestants/contestant.ts';
import { connectHttp } from './contestants/http.ts';
import { startIkLlamaCpp } from './contestants/ik-llama-cpp.ts';
import { startEngine } from './contestants/native-engine.ts';
import { createNodeLlamaCpp } from './contestants/node-llama-cpp.ts';
import { startOwnServer } from './contestants/own-server.ts';
import { startRawLoop } from './contestants/raw-loop.ts';
import { type BenchOptions, helpText, parseOptions } from './options.ts';
import { PromptSource } from './prompts.ts';
import {
  renderTable,
  speedOf,
  type Turn,
  type WorkloadName,
  type WorkloadSizes,
} from './report.ts';

/** Prompt tokens of the decode-only workload; their prefill takes almost no time. */
const shortPromptTokenCount = 8;

/** One workload and the contestants that run it. */
interface Suite {
  readonly name: WorkloadName;
  readonly sizes: WorkloadSizes;
  readonly contestants: readonly Contestant[];
}

async function main(argv: readonly string[]): Promise<number> {
  const options = parseOptions(argv);
  if (options === null) {
    process.stdout.write(helpText);
    return 0;
  }
  const progress = createProgress();
  const modelPath = options.modelPath ?? (await writeModel(options, progress));
  const llama = await startLlama({
    gpu: options.gpu === 'off' ? false : options.gpu,
    maxThreads: options.threadCount,
    cpuKernels: options.cpuKernels,
  });
  const model = await llama.loadModel({ modelPath, gpuLayers: 'max' });
  const contestants: Contestant[] = [];
  try {
    for (const start of starters(options, modelPath, llama, model)) {
      progress.update(0, 'starting the contestants');
      contestants.push(await start());
    }
    const suites = suitesOf(options, contestants);
    const turns = await measure(options, suites, progress);
    progress.end();
    for (const { name, sizes } of suites) {
      process.stdout.write(`\n${renderTable(name, sizes, turns)}`);
    }
    if (options.jsonPath !== undefined) {
      writeRecord(options.jsonPath, { ...options, modelPath }, turns);
    }
    return 0;
  } finally {
    progress.end();
    for (const contestant of contestants.toReversed()) await contestant.close();
    await model.dispose();
    await llama.dispose();
  }
}

function writeModel(options: BenchOptions, progress: Progress): Promise<string> {
  return benchModel(options.shapeName, options.weightName, (writtenBytes, totalBytes) => {
    progress.update(writtenBytes / totalBytes, 'writing the model');
  });
}

function starters(
  options: BenchOptions,
  modelPath: string,
  llama: Llama,
  model: LlamaModel,
): (() => Promise<Contestant>)[] {
  const { threadCount, contextLength, kvLayout, peerUrl, gpu, cpuKernels } = options;
  const prompts = new PromptSource(model);
  const slotCount = Math.max(...options.streamCounts);
  const shared = {
    modelPath,
    model,
    llama,
    gpu,
    kvLayout,
    threadCount,
    contextLength,
    slotCount,
    cpuKernels,
    prompts,
  };
  const byName = {
    limit: () => startRawLoop(shared),
    engine: () => startEngine(shared),
    http: () => startOwnServer(shared),
    'node-llama-cpp': async () => createNodeLlamaCpp(shared),
    'ik_llama.cpp': async () => startIkLlamaCpp(shared),
  };
  return [
    ...options.contestants.map((name) => byName[name]),
    ...(peerUrl === undefined
      ? []
      : [() => connectHttp({ name: 'peer', baseUrl: peerUrl, prompts })]),
  ];
}

function suitesOf(options: BenchOptions, contestants: readonly Contestant[]): Suite[] {
  const { promptTokenCount, completionTokenCount } = options;
  const inProcess = contestants.filter(({ name }) => name !== 'http' && name !== 'peer');
  return [
    { name: 'whole requests', sizes: { promptTokenCount, completionTokenCount }, contestants },
    {
      name: 'decode only',
      sizes: { promptTokenCount: shortPromptTokenCount, completionTokenCount },
      contestants: inProcess,
    },
  ];
}

/** Runs every contestant once per round, starting with another one each round; round 0 only warms up. */
async function measure(
  { streamCounts, roundCount, settleMs }: BenchOptions,
  suites: readonly Suite[],
  progress: Progress,
): Promise<Turn[]> {
  const turns: Turn[] = [];
  const contestantCount = suites.reduce((sum, { contestants }) => sum + contestants.length, 0);
  const turnCount = contestantCount * streamCounts.length * (roundCount + 1);
  let doneCount = 0;
  for (const { name, sizes, contestants } of suites) {
    for (const streamCount of streamCounts) {
      for (let round = 0; round <= roundCount; round++) {
        for (let turn = 0; turn < contestants.length; turn++) {
          const contestant = contestants[(turn + round) % contestants.length];
          if (contestant === undefined) continue;
          progress.update(doneCount / turnCount, `${name}, ${streamCount} streams`);
          await sleep(settleMs);
          const workload = { ...sizes, streamCount };
          const measurement = await contestant.run(workload);
          checkCounts(contestant.name, workload, measurement);
          doneCount++;
          if (round === 0) continue;
          turns.push({
            workload: name,
            contestant: contestant.name,
            streamCount,
            round,
            measurement,
          });
        }
      }
    }
  }
  return turns;
}

function writeRecord(
  path: string,
  options: BenchOptions & { readonly modelPath: string },
  turns: readonly Turn[],
): void {
  const packageJson = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { readonly version: string };
  const record = {
    measuredAt: new Date().toISOString(),
    version: packageJson.version,
    machine: describeMachine(),
    options,
    turns: turns.map(({ measurement, ...turn }) => ({
      ...turn,
      ...measurement,
      tokensPerSecond: speedOf(measurement),
    })),
  };
  writeFileSync(path, `${JSON.stringify(record, null, 2)}\n`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const isUsage = error instanceof UsageError;
  process.stderr.write(
    `bench: ${isUsage ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
  );
  process.exitCode = isUsage ? 2 : 1;
}
