/**
 * The series of the engine's numbers. Each statistic with a series of its own is exported under that name; the tables
 * here export statistics under the names of vLLM and llama-server.
 */
import { Counter, Gauge, type Registry } from 'prom-client';
import { engineStatistics } from '../../engine/engine-statistics.ts';
import { type EngineStats, type Statistic, zeroStats } from '../../engine/engine-stats.ts';
import type { ModelRegistry } from '../../model/registry.ts';
import { readCounter, readGauge, readHistogram, type SeriesOptions } from './series.ts';
import { type LoadSources, loadOf } from './server-load.ts';

type Reading = (stats: EngineStats) => number;
type Row = readonly [name: string, help: string, read: Reading];

/** vLLM's names; they carry the labels `model_name` and `engine`. */
const vllmCounters: readonly Row[] = [
  ['vllm:prompt_tokens_total', 'Prompt tokens, cached or computed.', promptTokensOf],
  ['vllm:generation_tokens_total', 'Tokens generated.', (stats) => stats.sampledTokenCount],
  ['vllm:prefix_cache_queries_total', 'Prompt tokens looked up in the cache.', promptTokensOf],
  [
    'vllm:prefix_cache_hits_total',
    'Prompt tokens found in the cache.',
    (stats) => stats.cachedTokenCount,
  ],
  [
    'vllm:num_preemptions_total',
    'Times a sequence was preempted because the KV cache was full.',
    (stats) => stats.preemptedSequenceCount,
  ],
  ...draftRows('vllm:'),
];

const vllmGauges: readonly Row[] = [
  [
    'vllm:num_requests_running',
    'Sequences that hold a slot, and requests that are embedded or ranked.',
    (stats) => stats.runningCount,
  ],
  [
    'vllm:num_requests_waiting',
    'Sequences that wait for a slot, and requests that wait to be embedded or ranked.',
    (stats) => stats.waitingCount,
  ],
];

/** llama-server's names, without labels. */
const llamaCounters: readonly Row[] = [
  [
    'llamacpp:prompt_tokens_cached_total',
    'Prompt tokens found in the cache.',
    (stats) => stats.cachedTokenCount,
  ],
  ['llamacpp:tokens_predicted_total', 'Tokens generated.', (stats) => stats.sampledTokenCount],
  ['llamacpp:n_decode_total', 'Calls of llama_decode.', (stats) => stats.decodeCallCount],
  ...draftRows('llamacpp:'),
];

const llamaGauges: readonly Row[] = [
  [
    'llamacpp:requests_processing',
    'Sequences that hold a slot, and requests that are embedded or ranked.',
    (stats) => stats.runningCount,
  ],
  [
    'llamacpp:requests_deferred',
    'Sequences that wait for a slot, and requests that wait to be embedded or ranked.',
    (stats) => stats.waitingCount,
  ],
];

/** The statistics of one kind that have a series of their own. */
function ownRows(kind: Statistic['kind']): Row[] {
  const listed: readonly Statistic[] = engineStatistics;
  return listed.flatMap(({ name, kind: itsKind, unit, series, help }) => {
    if (series === undefined || itsKind !== kind) return [];
    const divisor = unit === 'milliseconds' ? 1000 : 1;
    return [[series, help, (stats) => Number(stats[name as keyof EngineStats]) / divisor]];
  });
}

/** Where the numbers come from. */
export interface EngineMetricsSources extends LoadSources {
  /** `model_name` of vLLM's series. */
  readonly modelName: string;
}

/**
 * Routers count a prompt in blocks and take the size of the cache from them: with blocks of one token they would compare
 * the first 256 tokens of prompts and no more. The KV cache itself has no blocks.
 */
const nominalBlockSize = 64;

/** Bounds of the tokens of a batch: powers of two, as the engine counts. */
const batchBounds = Array.from({ length: 15 }, (_, exponent) => 2 ** exponent);

/** Adds series that a scrape reads from the engine. They are zero until the engine has started. */
export function addEngineMetrics(
  registry: Registry,
  { modelName, ...sources }: EngineMetricsSources,
): void {
  const { models, inputs } = sources;
  const labels = { model_name: modelName, engine: '0' };
  const reading = (read: Reading) => () => {
    const stats = models.current?.engine.stats() ?? zeroStats;
    return read({ ...stats, ...loadOf(sources) });
  };
  const add = (
    addOne: typeof readCounter,
    rows: readonly Row[],
    fixed?: SeriesOptions['labels'],
  ) => {
    for (const [name, help, read] of rows) {
      addOne(registry, { name, help, ...(fixed && { labels: fixed }) }, reading(read));
    }
  };
  add(readCounter, vllmCounters, labels);
  add(readGauge, vllmGauges, labels);
  add(readCounter, llamaCounters);
  add(readGauge, llamaGauges);
  add(readCounter, ownRows('counter'));
  add(readGauge, ownRows('gauge'));

  readCounter(
    registry,
    {
      name: 'llamacpp:prompt_tokens_total',
      help: 'Prompt tokens computed, and tokens of inputs that were embedded or ranked.',
    },
    () => reading((stats) => stats.prefilledTokenCount)() + inputs.tokenCount(),
  );
  readHistogram(
    registry,
    { name: 'vllm:iteration_tokens_total', help: 'Tokens of a batch.', labels },
    batchBounds,
    () => {
      const stats = models.current?.engine.stats() ?? zeroStats;
      return {
        counts: stats.batchCountBySize,
        sum: stats.decodedTokenCount - stats.backgroundPrefilledTokenCount,
      };
    },
  );

  const waitingByReason = 'vllm:num_requests_waiting_by_reason';
  readGauge(
    registry,
    {
      name: waitingByReason,
      help: 'Sequences that wait for a slot, by reason: `capacity`, no slot is free.',
      labels: { ...labels, reason: 'capacity' },
    },
    reading((stats) => stats.waitingCount),
  );
  const infoOf = () => models.current?.engine.info;
  // The second is vLLM's older name, which some routers still read.
  for (const name of ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc']) {
    readGauge(
      registry,
      {
        name,
        help: 'Share of the KV cells that running sequences hold, 0 to 1. Cached prefixes do not count.',
        labels,
      },
      () => reading((stats) => stats.usedKvTokenCount)() / (infoOf()?.kvTokenCount ?? 1),
    );
  }
  readGauge(
    registry,
    { name: 'gateway_kv_tokens', help: 'KV cells in total.' },
    () => infoOf()?.kvTokenCount ?? 0,
  );
  readGauge(
    registry,
    { name: 'gateway_slots', help: 'Sequences that can run at the same time.' },
    () => infoOf()?.slotCount ?? 0,
  );
  addAcceptedByPosition(registry, models, 'vllm:', labels);
  addAcceptedByPosition(registry, models, 'llamacpp:');
  addCacheInfo(registry, models, labels);
  readGauge(
    registry,
    {
      name: 'vllm:lora_requests_info',
      help: 'LoRA adapters: none. The value is the time in Unix seconds.',
      labels: { max_lora: '0', waiting_lora_adapters: '', running_lora_adapters: '' },
    },
    () => Date.now() / 1000,
  );
}

/** Speculative decoding; both servers use the same names for it. */
function draftRows(prefix: string): readonly Row[] {
  return [
    [
      `${prefix}spec_decode_num_drafts_total`,
      'Drafts that were verified.',
      (stats) => stats.draftCount,
    ],
    [
      `${prefix}spec_decode_num_draft_tokens_total`,
      'Tokens of verified drafts.',
      (stats) => stats.draftedTokenCount,
    ],
    [
      `${prefix}spec_decode_num_accepted_tokens_total`,
      'Draft tokens that were accepted.',
      (stats) => stats.acceptedTokenCount,
    ],
  ];
}

/** Adds a series for each position that a draft has had so far. */
function addAcceptedByPosition(
  registry: Registry,
  models: ModelRegistry,
  prefix: string,
  labels: Readonly<Record<string, string>> = {},
): void {
  new Counter({
    name: `${prefix}spec_decode_num_accepted_tokens_per_pos_total`,
    help: 'Draft tokens that were accepted, by their position in the draft, from 0.',
    labelNames: [...Object.keys(labels), 'position'],
    registers: [registry],
    collect() {
      this.reset();
      const counts = models.current?.engine.stats().acceptedTokenCountByPosition ?? [];
      for (const [position, count] of counts.entries()) {
        this.inc({ ...labels, position: String(position) }, count);
      }
    },
  });
}

/** Block size times blocks is the size of the cache, as dashboards compute it, up to a block. */
function addCacheInfo(
  registry: Registry,
  models: ModelRegistry,
  labels: Readonly<Record<string, string>>,
): void {
  new Gauge({
    name: 'vllm:cache_config_info',
    help: 'Size of the KV cache in nominal blocks of 64 tokens; always 1.',
    labelNames: [...Object.keys(labels), 'block_size', 'num_gpu_blocks'],
    registers: [registry],
    collect() {
      const info = models.current?.engine.info;
      this.reset();
      if (info === undefined) return;
      const blockCount = Math.floor(info.kvTokenCount / nominalBlockSize);
      const size = { block_size: String(nominalBlockSize), num_gpu_blocks: String(blockCount) };
      this.set({ ...labels, ...size }, 1);
    },
  });
}

function promptTokensOf(stats: EngineStats): number {
  return stats.prefilledTokenCount + stats.cachedTokenCount;
}
