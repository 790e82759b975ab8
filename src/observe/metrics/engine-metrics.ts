import { Counter, Gauge, type Registry } from 'prom-client';
import type { Admission } from '../../admission/admission.ts';
import type { EngineStats } from '../../engine/engine.ts';
import type { ModelRegistry } from '../../model/registry.ts';
import { readCounter, readGauge, type SeriesOptions } from './series.ts';

type Reading = (stats: EngineStats) => number;
type Row = readonly [name: string, help: string, read: Reading];

/** Names of vLLM; they carry the labels `model_name` and `engine`. */
const vllmCounters: readonly Row[] = [
  [
    'vllm:prompt_tokens_total',
    'Prompt tokens processed, found in the cache or computed.',
    promptTokensOf,
  ],
  ['vllm:generation_tokens_total', 'Tokens generated.', (stats) => stats.sampledTokenCount],
  ['vllm:prefix_cache_queries_total', 'Prompt tokens looked up in the cache.', promptTokensOf],
  [
    'vllm:prefix_cache_hits_total',
    'Prompt tokens found in the cache.',
    (stats) => stats.cachedTokenCount,
  ],
  [
    'vllm:num_preemptions_total',
    'Times a sequence had to give way to a neighbour.',
    (stats) => stats.pausedSequenceCount,
  ],
  ...draftRows('vllm:'),
];

const vllmGauges: readonly Row[] = [
  ['vllm:num_requests_running', 'Sequences that hold a slot.', (stats) => stats.runningCount],
  ['vllm:num_requests_waiting', 'Sequences that wait for a slot.', (stats) => stats.waitingCount],
];

/** Names of llama-server, without labels. */
const llamaCounters: readonly Row[] = [
  ['llamacpp:prompt_tokens_total', 'Prompt tokens computed.', (stats) => stats.prefilledTokenCount],
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
  ['llamacpp:requests_processing', 'Sequences that hold a slot.', (stats) => stats.runningCount],
  ['llamacpp:requests_deferred', 'Sequences that wait for a slot.', (stats) => stats.waitingCount],
];

/** What neither of them tells. */
const engineCounters: readonly Row[] = [
  ['gateway_engine_steps_total', 'Steps of the engine.', (stats) => stats.stepCount],
  [
    'gateway_engine_step_seconds_total',
    'Time spent in steps; divided by the steps it is the time of one.',
    (stats) => stats.stepMs / 1000,
  ],
  [
    'gateway_engine_decode_seconds_total',
    'The part of it in llama_decode.',
    (stats) => stats.decodeMs / 1000,
  ],
  [
    'gateway_engine_sampling_seconds_total',
    'The part of it in choosing tokens.',
    (stats) => stats.samplingMs / 1000,
  ],
  [
    'gateway_engine_batch_tokens_total',
    'Tokens given to steps; divided by the steps it is the size of a batch.',
    (stats) => stats.decodedTokenCount,
  ],
  [
    'gateway_engine_recomputed_tokens_total',
    'Tokens computed once more, for sequences that had given way.',
    (stats) => stats.recomputedTokenCount,
  ],
  [
    'gateway_engine_lane_tokens_total',
    'Prompt tokens computed in the prompt lane, between the steps of others.',
    (stats) => stats.laneTokenCount,
  ],
  [
    'gateway_engine_moved_sequences_total',
    'Sequences moved in a split KV cache, to be computed in one pass with others.',
    (stats) => stats.movedSequenceCount,
  ],
  [
    'gateway_prefix_cache_hit_sequences_total',
    'Sequences that found a part of their prompt in the cache.',
    (stats) => stats.prefixHitCount,
  ],
];

const engineGauges: readonly Row[] = [
  [
    'gateway_kv_used_tokens',
    'KV cells of running sequences; what several share counts once.',
    (stats) => stats.usedKvTokenCount,
  ],
  [
    'gateway_kv_kept_tokens',
    'KV cells that only finished prefixes hold: free for whoever needs them.',
    (stats) => stats.keptKvTokenCount,
  ],
  ['gateway_kept_prefixes', 'Finished prefixes in the cache.', (stats) => stats.keptPrefixCount],
];

/** Where the numbers come from. */
export interface EngineMetricsSources {
  readonly models: ModelRegistry;
  /** `model_name` of vLLM's series. */
  readonly modelName: string;
  /** Where sequences wait that the engine has not seen. */
  readonly admission: Admission;
}

/** Series that are read off the engine when somebody asks; zero until there is one. */
export function addEngineMetrics(
  registry: Registry,
  { models, modelName, admission }: EngineMetricsSources,
): void {
  const labels = { model_name: modelName, engine: '0' };
  const reading = (read: Reading) => () => {
    const stats = models.current?.engine.stats();
    if (stats === undefined) return 0;
    return read({ ...stats, waitingCount: stats.waitingCount + admission.waitingCount });
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
  add(readCounter, engineCounters);
  add(readGauge, engineGauges);

  const waitingByReason = 'vllm:num_requests_waiting_by_reason';
  readGauge(
    registry,
    {
      name: waitingByReason,
      help: 'Sequences that wait for a slot, and why: there is no free one.',
      labels: { ...labels, reason: 'capacity' },
    },
    reading((stats) => stats.waitingCount),
  );
  const infoOf = () => models.current?.engine.info;
  readGauge(
    registry,
    {
      name: 'vllm:kv_cache_usage_perc',
      help: 'Share of the KV cells that running sequences hold, 0 to 1.',
      labels,
    },
    () => reading((stats) => stats.usedKvTokenCount)() / (infoOf()?.kvTokenCount ?? 1),
  );
  readGauge(
    registry,
    { name: 'gateway_kv_tokens', help: 'KV cells there are.' },
    () => infoOf()?.kvTokenCount ?? 0,
  );
  readGauge(
    registry,
    { name: 'gateway_slots', help: 'Sequences that can run at the same time.' },
    () => infoOf()?.slotCount ?? 0,
  );
  addAcceptedByPlace(registry, models, 'vllm:', labels);
  addAcceptedByPlace(registry, models, 'llamacpp:');
  addCacheInfo(registry, models, labels);
}

/** Guessed tokens; both servers have the same names for them. */
function draftRows(prefix: string): readonly Row[] {
  return [
    [
      `${prefix}spec_decode_num_drafts_total`,
      'Guesses that were checked.',
      (stats) => stats.draftCount,
    ],
    [
      `${prefix}spec_decode_num_draft_tokens_total`,
      'Tokens that were guessed.',
      (stats) => stats.draftedTokenCount,
    ],
    [
      `${prefix}spec_decode_num_accepted_tokens_total`,
      'Guessed tokens that were right.',
      (stats) => stats.acceptedTokenCount,
    ],
  ];
}

/** A series for each place that a guess has had so far. */
function addAcceptedByPlace(
  registry: Registry,
  models: ModelRegistry,
  prefix: string,
  labels: Readonly<Record<string, string>> = {},
): void {
  new Counter({
    name: `${prefix}spec_decode_num_accepted_tokens_per_pos_total`,
    help: 'Guessed tokens that were right, by their place in the guess, from 0.',
    labelNames: [...Object.keys(labels), 'position'],
    registers: [registry],
    collect() {
      this.reset();
      const counts = models.current?.engine.stats().acceptedTokenCountByPlace ?? [];
      for (const [place, count] of counts.entries()) {
        this.inc({ ...labels, position: String(place) }, count);
      }
    },
  });
}

/** One block is one token here, which keeps sums of vLLM's boards right. */
function addCacheInfo(
  registry: Registry,
  models: ModelRegistry,
  labels: Readonly<Record<string, string>>,
): void {
  new Gauge({
    name: 'vllm:cache_config_info',
    help: 'Size of the KV cache.',
    labelNames: [...Object.keys(labels), 'block_size', 'num_gpu_blocks'],
    registers: [registry],
    collect() {
      const info = models.current?.engine.info;
      this.reset();
      if (info === undefined) return;
      this.set({ ...labels, block_size: '1', num_gpu_blocks: String(info.kvTokenCount) }, 1);
    },
  });
}

function promptTokensOf(stats: EngineStats): number {
  return stats.prefilledTokenCount + stats.cachedTokenCount;
}
