import { Counter, Histogram, type Registry } from 'prom-client';
import type { FinishReason } from '../../engine/generator.ts';
import type { GenerationRecord, RequestRecord } from '../trace/request-trace.ts';
import {
  choiceBuckets,
  firstTokenBuckets,
  interTokenBuckets,
  requestBuckets,
  tokenBuckets,
} from './buckets.ts';
import { readCounter, readGauge } from './series.ts';

/** vLLM's names of finish reasons. */
const finishedReasons: Readonly<Record<FinishReason, string>> = {
  stop: 'stop',
  'tool-calls': 'stop',
  length: 'length',
  cancelled: 'abort',
};

/** Error codes of requests that were refused because the server is busy. */
const admissionFailures = ['queue_full', 'queue_timeout'];

/** Upper bound of token histograms. It does not depend on the model, so that buckets never change. */
const maxTokenCount = 200_000;

/** Series that grow with every request. */
export class RequestMetrics {
  readonly #registry: Registry;
  readonly #labels: { readonly model_name: string; readonly engine: string };
  readonly #requests;
  readonly #failures;
  readonly #keyFailures;
  readonly #finished;
  readonly #interToken;
  readonly #firstToken;
  readonly #parts;
  readonly #tokens;
  readonly #params;
  /** Sums over ended sequences, for llama-server's rates. */
  readonly #sums = { promptMs: 0, promptTokens: 0, predictedMs: 0, predictedTokens: 0, longest: 0 };
  #cancelledCount = 0;
  #rejectedCount = 0;
  #inputTokenCount = 0;
  #inputMs = 0;

  constructor(registry: Registry, modelName: string) {
    this.#registry = registry;
    this.#labels = { model_name: modelName, engine: '0' };
    this.#requests = new Counter({
      name: 'gateway_http_requests_total',
      help: 'HTTP requests. Status 499: the client left; route `none`: no such endpoint.',
      labelNames: ['route', 'method', 'status'],
      registers: [registry],
    });
    this.#failures = new Counter({
      name: 'gateway_failures_total',
      help: 'Refused and failed requests by error code; a code with several causes is split (`completion_timeout`, `tokens_exceeded`, `concurrency_exceeded`).',
      labelNames: ['code'],
      registers: [registry],
    });
    this.#keyFailures = new Counter({
      name: 'gateway_authentication_failures_total',
      help: 'Requests refused for their key: `no-keys`, `missing`, `empty`, `malformed`, `unknown`, `expired`.',
      labelNames: ['reason'],
      registers: [registry],
    });
    this.#finished = new Counter({
      name: 'vllm:request_success_total',
      help: 'Sequences that ended: `stop` (includes tool calls), `length`, `abort`.',
      labelNames: [...Object.keys(this.#labels), 'finished_reason'],
      registers: [registry],
    });
    for (const reason of Object.values(finishedReasons)) {
      this.#finished.inc({ ...this.#labels, finished_reason: reason }, 0);
    }
    this.#interToken = this.#histogram(
      'vllm:inter_token_latency_seconds',
      'Time between two tokens of a sequence, as they leave the engine: a slow client does not count.',
      interTokenBuckets,
    );
    this.#firstToken = this.#histogram(
      'vllm:time_to_first_token_seconds',
      'Time from the arrival of a request to its first token.',
      firstTokenBuckets,
    );
    const part = (name: string, help: string) => this.#histogram(name, help, requestBuckets);
    this.#parts = {
      e2e: part(
        'vllm:e2e_request_latency_seconds',
        'Time from the arrival of a request to its end.',
      ),
      queue: part('vllm:request_queue_time_seconds', 'Time a sequence waited for a slot.'),
      prefill: part('vllm:request_prefill_time_seconds', 'Time from a slot to the first token.'),
      decode: part('vllm:request_decode_time_seconds', 'Time from the first token to the last.'),
      inference: part('vllm:request_inference_time_seconds', 'Prefill and decode together.'),
      perToken: this.#histogram(
        'vllm:request_time_per_output_token_seconds',
        'Mean time between the tokens of a sequence.',
        interTokenBuckets,
      ),
    };
    const counts = tokenBuckets(maxTokenCount);
    this.#tokens = {
      prompt: this.#histogram('vllm:request_prompt_tokens', 'Prompt tokens of a request.', counts),
      generation: this.#histogram(
        'vllm:request_generation_tokens',
        'Tokens generated for a request.',
        counts,
      ),
      computed: this.#histogram(
        'vllm:request_prefill_kv_computed_tokens',
        'Prompt tokens of a request that were not in the prefix cache.',
        counts,
      ),
    };
    this.#params = {
      choices: this.#histogram('vllm:request_params_n', 'Requested choices.', choiceBuckets),
      maxTokens: this.#histogram(
        'vllm:request_params_max_tokens',
        'Requested limit of completion tokens.',
        counts,
      ),
    };
    this.#addSums();
  }

  /** Tokens of inputs that were embedded or ranked. */
  get inputTokenCount(): number {
    return this.#inputTokenCount;
  }

  /** @param seconds - since the previous token of the same sequence */
  observeInterToken(seconds: number): void {
    this.#interToken.observe(this.#labels, seconds);
  }

  observe(record: RequestRecord): void {
    const { route = 'none', method, status, failure, keyFailure } = record;
    const { generation, inputTokenCount, inputMs = 0 } = record;
    this.#requests.inc({ route, method, status });
    if (inputTokenCount !== undefined) this.#inputTokenCount += inputTokenCount;
    this.#inputMs += inputMs;
    if (keyFailure !== undefined) this.#keyFailures.inc({ reason: keyFailure });
    if (failure !== undefined) {
      this.#failures.inc({ code: failure });
      if (admissionFailures.includes(failure)) this.#rejectedCount += 1;
    }
    if (generation !== undefined) this.#observeGeneration(generation, record);
  }

  #observeGeneration(generation: GenerationRecord, { durationMs, status }: RequestRecord): void {
    const labels = this.#labels;
    const { promptTokenCount, cachedTokenCount, completionTokenCount } = generation;
    const { firstTokenMs, maxTokens, choiceCount } = generation;
    if (status === 499) this.#cancelledCount += 1;
    this.#parts.e2e.observe(labels, durationMs / 1000);
    if (firstTokenMs !== undefined) this.#firstToken.observe(labels, firstTokenMs / 1000);
    this.#tokens.prompt.observe(labels, promptTokenCount);
    this.#tokens.generation.observe(labels, completionTokenCount);
    this.#tokens.computed.observe(labels, Math.max(promptTokenCount - cachedTokenCount, 0));
    this.#params.choices.observe(labels, choiceCount);
    if (maxTokens !== undefined) this.#params.maxTokens.observe(labels, maxTokens);
    for (const sequence of generation.sequences) {
      this.#finished.inc({ ...labels, finished_reason: finishedReasons[sequence.finishReason] });
      const { usage, timings } = sequence;
      const { queueMs, prefillMs, decodeMs } = timings;
      this.#parts.queue.observe(labels, queueMs / 1000);
      this.#parts.prefill.observe(labels, prefillMs / 1000);
      this.#parts.decode.observe(labels, decodeMs / 1000);
      this.#parts.inference.observe(labels, (prefillMs + decodeMs) / 1000);
      const gapCount = usage.completionTokenCount - 1;
      if (gapCount > 0) this.#parts.perToken.observe(labels, decodeMs / gapCount / 1000);
      this.#sums.promptMs += prefillMs;
      this.#sums.promptTokens += usage.promptTokenCount - usage.cachedTokenCount;
      this.#sums.predictedMs += decodeMs;
      this.#sums.predictedTokens += Math.max(gapCount, 0);
      const length = usage.promptTokenCount + usage.completionTokenCount;
      this.#sums.longest = Math.max(this.#sums.longest, length);
    }
  }

  #histogram(name: string, help: string, buckets: readonly number[]) {
    const histogram = new Histogram({
      name,
      help,
      buckets: [...buckets],
      labelNames: ['model_name', 'engine'],
      registers: [this.#registry],
    });
    // The series exists before its first value.
    histogram.zero(this.#labels);
    return histogram;
  }

  #addSums(): void {
    const registry = this.#registry;
    const sums = this.#sums;
    readCounter(
      registry,
      { name: 'gateway_requests_cancelled_total', help: 'Requests whose client left.' },
      () => this.#cancelledCount,
    );
    readCounter(
      registry,
      {
        name: 'gateway_input_tokens_total',
        help: 'Tokens of inputs that were embedded or ranked.',
      },
      () => this.#inputTokenCount,
    );
    readCounter(
      registry,
      {
        name: 'vllm:admission_rejections_total',
        help: 'Requests refused because too many were waiting.',
        labels: this.#labels,
      },
      () => this.#rejectedCount,
    );
    readCounter(
      registry,
      {
        name: 'llamacpp:prompt_seconds_total',
        help: 'Time sequences spent in prefill, and inputs until they were embedded or ranked.',
      },
      () => (sums.promptMs + this.#inputMs) / 1000,
    );
    readCounter(
      registry,
      { name: 'llamacpp:tokens_predicted_seconds_total', help: 'Time sequences spent in decode.' },
      () => sums.predictedMs / 1000,
    );
    readCounter(
      registry,
      { name: 'llamacpp:n_tokens_max', help: 'Tokens of the longest sequence so far.' },
      () => sums.longest,
    );
    readGauge(
      registry,
      {
        name: 'llamacpp:prompt_tokens_seconds',
        help: 'Prompt and input tokens per second, averaged since the start.',
      },
      () => perSecond(sums.promptTokens + this.#inputTokenCount, sums.promptMs + this.#inputMs),
    );
    readGauge(
      registry,
      {
        name: 'llamacpp:predicted_tokens_seconds',
        help: 'Tokens per second of one sequence, averaged since the start.',
      },
      () => perSecond(sums.predictedTokens, sums.predictedMs),
    );
  }
}

function perSecond(count: number, ms: number): number {
  return ms === 0 ? 0 : (count / ms) * 1000;
}
