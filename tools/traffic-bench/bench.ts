/**
 * `npm run bench:traffic`: the traffic that people have, beside llama-server. The contestants take turns within every
 * round, and all receive the same requests.
 */

import { statSync, writeFileSync } from 'node:fs';
import { BenchClient } from '../../src/bench/client.ts';
import { describeMachine } from '../../src/bench/machine.ts';
import { createProgress, type Progress } from '../../src/bench/progress.ts';
import { benchModel } from '../bench-models/weights.ts';
import { UsageError } from '../fixtures/bench-flags.ts';
import { type ServerProcess, startGateway } from '../fixtures/server-process.ts';
import { startLlamaServer } from '../peers/llama-cpp.ts';
import { type Mix, mixOf } from './mixes.ts';
import {
  helpText,
  type OwnServer,
  parseOptions,
  type TrafficOptions,
  type WantedArrivals,
} from './options.ts';
import { peerName, renderChart, renderTable } from './report.ts';
import { SavedRuns } from './saved-runs.ts';
import { scoreOf } from './score.ts';
import { type Arrivals, runTraffic } from './traffic.ts';

interface Contestant {
  readonly name: string;
  readonly client: BenchClient;
  readonly modelId: string;
  close(): Promise<void>;
}

/** Time in which the threads of the contestant before fall asleep. */
const settleMs = 500;
const requestTimeoutMs = 600_000;

async function main(argv: readonly string[]): Promise<number> {
  const options = parseOptions(argv);
  if (options === null) {
    process.stdout.write(helpText);
    return 0;
  }
  const progress = createProgress();
  try {
    const modelPath = options.modelPath ?? (await writeModel(options, progress));
    const saved = new SavedRuns(options.savePath, conditionsOf(options, modelPath));
    for (const name of options.mixNames) {
      await measureMix(mixOf(name), { options, modelPath, saved, progress });
    }
    progress.end();
    process.stdout.write(`${renderTable(saved.runs)}\n`);
    if (options.chartPath !== undefined) writeFileSync(options.chartPath, renderChart(saved.runs));
    if (options.jsonPath !== undefined) {
      const record = { machine: describeMachine(), options, modelPath, runs: saved.runs };
      writeFileSync(options.jsonPath, `${JSON.stringify(record, null, 2)}\n`);
    }
    return saved.runs.some(({ score }) => score.failureCount > 0) ? 1 : 0;
  } finally {
    progress.end();
  }
}

interface Session {
  readonly options: TrafficOptions;
  readonly modelPath: string;
  readonly saved: SavedRuns;
  readonly progress: Progress;
}

/** What measurements depend on; the number of rounds may grow. */
function conditionsOf(options: TrafficOptions, modelPath: string): object {
  const { slotCount, conversationsPerUser, threadCount, ownServers, seed } = options;
  const { size } = statSync(modelPath);
  return { modelPath, size, slotCount, conversationsPerUser, threadCount, ownServers, seed };
}

function writeModel(options: TrafficOptions, progress: Progress): Promise<string> {
  return benchModel(options.shapeName, options.weightName, (writtenBytes, totalBytes) => {
    progress.update(writtenBytes / totalBytes, 'writing the model');
  });
}

/** Starts every server once for a mix, and measures each row of it. */
async function measureMix(mix: Mix, session: Session): Promise<void> {
  const { options, saved, progress } = session;
  const isDone = options.arrivals.every((arrivals) => isMeasured(rowName(mix, arrivals), session));
  if (isDone) return;
  const contestants: Contestant[] = [];
  try {
    for (const start of starters(mix, session)) {
      progress.update(0, `${mix.name}: starting the servers`);
      contestants.push(await start());
    }
    for (const contestant of contestants) await warmUp(contestant, options);
    let saturation: number | undefined;
    for (const wanted of options.arrivals) {
      const row = rowName(mix, wanted);
      if (isMeasured(row, session)) continue;
      if (wanted.kind === 'open') saturation ??= await saturationOf(contestants, mix, session);
      for (let round = 0; round < options.roundCount; round++) {
        for (let turn = 0; turn < contestants.length; turn++) {
          const contestant = contestants[(turn + round) % contestants.length];
          if (contestant === undefined) continue;
          if (saved.find(row, contestant.name, round) !== undefined) continue;
          const seed = `${options.seed}/${mix.name}/${row}/${round}`;
          const score = await measure(contestant, mix, {
            seed,
            conversationCount: conversationCountOf(wanted, options),
            arrivals: arrivalsOf(wanted, mix, saturation ?? Number.NaN),
            onProgress: (ratio) =>
              progress.update(ratio, `${row}, round ${round + 1}, ${contestant.name}`),
          });
          saved.add({ row, contestant: contestant.name, round, score });
        }
      }
    }
  } finally {
    for (const contestant of contestants) await contestant.close();
  }
}

function isMeasured(row: string, { options, saved }: Session): boolean {
  const names = [
    ...options.ownServers.map(({ name }) => name),
    ...(options.withPeer ? [peerName] : []),
  ];
  return names.every((name) =>
    Array.from({ length: options.roundCount }, (_, round) => round).every(
      (round) => saved.find(row, name, round) !== undefined,
    ),
  );
}

function rowName({ name }: Mix, arrivals: WantedArrivals): string {
  return arrivals.kind === 'closed'
    ? `${name}, ${arrivals.userCount} users`
    : `${name}, ${arrivals.loadPercent} % of saturation`;
}

function conversationCountOf(arrivals: WantedArrivals, options: TrafficOptions): number {
  const userCount = arrivals.kind === 'closed' ? arrivals.userCount : 2 * options.slotCount;
  return userCount * options.conversationsPerUser;
}

/** @param saturation - requests per second that the peer answers at most */
function arrivalsOf(wanted: WantedArrivals, mix: Mix, saturation: number): Arrivals {
  if (wanted.kind === 'closed') return wanted;
  const [conversation] = mix.draw('size', 1);
  const requestsEach = conversation?.turns.length ?? 1;
  const conversationsPerSecond = (saturation * wanted.loadPercent) / 100 / requestsEach;
  return { kind: 'open', conversationsPerSecond };
}

/** Requests per second of the peer while twice as many users as it has slots never pause. */
async function saturationOf(
  contestants: readonly Contestant[],
  mix: Mix,
  { options, progress }: Session,
): Promise<number> {
  const peer = contestants.find(({ name }) => name === peerName);
  if (peer === undefined) throw new Error(`${peerName} was not started`);
  const userCount = 2 * options.slotCount;
  const busy: Mix = {
    ...mix,
    draw: (seed, count) =>
      mix.draw(seed, count).map((conversation) => ({
        ...conversation,
        turns: conversation.turns.map((turn) => ({ ...turn, thinkingMs: 0 })),
      })),
  };
  const score = await measure(peer, busy, {
    seed: `${options.seed}/saturation`,
    conversationCount: userCount * options.conversationsPerUser,
    arrivals: { kind: 'closed', userCount },
    onProgress: (ratio) => progress.update(ratio, `${mix.name}: saturation of ${peerName}`),
  });
  return score.requestsPerSecond;
}

async function measure(
  { client, modelId }: Contestant,
  mix: Mix,
  options: {
    readonly seed: string;
    readonly conversationCount: number;
    readonly arrivals: Arrivals;
    readonly onProgress: (ratio: number) => void;
  },
) {
  const { seed, conversationCount, arrivals, onProgress } = options;
  await new Promise((resolve) => setTimeout(resolve, settleMs));
  let doneCount = 0;
  onProgress(0);
  const run = await runTraffic({
    client,
    modelId,
    conversations: mix.draw(seed, conversationCount),
    arrivals,
    seed,
    onConversation: () => {
      doneCount += 1;
      onProgress(doneCount / conversationCount);
    },
  });
  for (const failure of new Set(run.failures)) process.stderr.write(`\n${failure}\n`);
  return scoreOf(run);
}

/** A short chat: whole conversations of some mixes take minutes. */
async function warmUp(contestant: Contestant, options: TrafficOptions): Promise<void> {
  await measure(contestant, mixOf('chat'), {
    seed: `${options.seed}/warm-up`,
    conversationCount: 2,
    arrivals: { kind: 'closed', userCount: 2 },
    onProgress: () => {},
  });
}

function starters(mix: Mix, { options, modelPath }: Session): (() => Promise<Contestant>)[] {
  const { slotCount, threadCount } = options;
  const sizes = { modelPath, slotCount, threadCount, contextLength: mix.contextLength };
  return [
    ...options.ownServers.map((own) => async () => connect(own.name, await startOwn(own, sizes))),
    ...(options.withPeer ? [async () => connect(peerName, await startLlamaServer(sizes))] : []),
  ];
}

function startOwn(
  { program, env }: OwnServer,
  sizes: {
    readonly modelPath: string;
    readonly slotCount: number;
    readonly threadCount: number;
    readonly contextLength: number;
  },
): Promise<ServerProcess> {
  return startGateway({
    ...(program !== undefined && { program }),
    flags: {
      'model-path': sizes.modelPath,
      parallel: sizes.slotCount,
      threads: sizes.threadCount,
      ctx: sizes.contextLength,
      gpu: 'off',
    },
    env: { MAX_QUEUE_SIZE: '0', MAX_REQUESTS_PER_MINUTE: '1000000', ...env },
  });
}

async function connect(name: string, server: ServerProcess): Promise<Contestant> {
  const client = new BenchClient({
    url: new URL(server.baseUrl),
    apiKey: undefined,
    timeoutMs: requestTimeoutMs,
  });
  const { body } = await client.get('/v1/models', { connection: 'new' });
  const models = JSON.parse(body) as { readonly data: readonly { readonly id: string }[] };
  const close = async () => {
    client.close();
    await server.close();
  };
  return { name, client, modelId: models.data[0]?.id ?? '', close };
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const isUsage = error instanceof UsageError;
  const text = error instanceof Error ? error.stack : String(error);
  process.stderr.write(`bench:traffic: ${isUsage ? error.message : text}\n`);
  process.exitCode = isUsage ? 2 : 1;
}
