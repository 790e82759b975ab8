import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Attributes,
  type Context,
  defaultTextMapGetter,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace as traceApi,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import type { ModelRegistry } from '../../model/registry.ts';
import {
  clientClosedStatus,
  type GenerationRecord,
  type RequestRecord,
  type TraceObserver,
} from './request-trace.ts';

/** Options of traces. */
export interface TracingOptions {
  /** OTLP over HTTP; `/v1/traces` is appended. */
  readonly endpoint: string;
  readonly models: ModelRegistry;
  /** The version of this program. */
  readonly version: string;
}

/** How long a stopping server waits for its collector. */
const closeTimeoutMs = 2000;

const programName = 'llama-gguf-inference';

/** Routes that monitoring polls. */
const watchedRoutes = ['/ping', '/health', '/ready', '/metrics'];

/** The generating system, by OpenTelemetry's name. */
const operations: Readonly<Record<string, string>> = {
  '/v1/chat/completions': 'chat',
  '/v1/completions': 'text_completion',
};

/**
 * Two spans for each request: the HTTP request, a child of the client's span if it sent a `traceparent`, and within it the
 * work of the model. Both are created when the request has ended, with its times. Names and attributes follow
 * OpenTelemetry's conventions for HTTP and for generative AI, without content.
 *
 * Other settings are OpenTelemetry's own variables: `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`,
 * `OTEL_RESOURCE_ATTRIBUTES`. A client's sampling decision is respected.
 */
export class Tracing implements TraceObserver {
  readonly #provider: TracerProvider;
  readonly #tracer: Tracer;
  readonly #models: ModelRegistry;
  readonly #propagator = new W3CTraceContextPropagator();

  constructor({ endpoint, models, version }: TracingOptions) {
    this.#models = models;
    const url = `${endpoint.replace(/\/+$/, '')}/v1/traces`;
    const resource = defaultResource()
      .merge(resourceFromAttributes({ 'service.name': programName, 'service.version': version }))
      .merge(detectResources({ detectors: [envDetector] }));
    this.#provider = new TracerProvider({
      resource,
      spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url }) })],
    });
    this.#tracer = this.#provider.getTracer(programName, version);
  }

  began(): void {}

  ended(_trace: unknown, record: RequestRecord): void {
    const { route, method, status, failure, durationMs, generation, inputTokenCount } = record;
    if (route !== undefined && watchedRoutes.includes(route)) return;
    const endTime = Date.now();
    const startTime = endTime - durationMs;
    const server = this.#tracer.startSpan(
      route === undefined ? method : `${method} ${route}`,
      { kind: SpanKind.SERVER, startTime, attributes: httpAttributes(record) },
      this.#parentOf(record),
    );
    if (generation !== undefined) {
      const model = this.#models.current?.card.id ?? '';
      const operation = operations[route ?? ''] ?? 'chat';
      const inner = this.#tracer.startSpan(
        `${operation} ${model}`,
        {
          kind: SpanKind.INTERNAL,
          startTime,
          attributes: generationAttributes(generation, operation, model),
        },
        traceApi.setSpan(ROOT_CONTEXT, server),
      );
      const { firstTokenMs } = generation;
      if (firstTokenMs !== undefined) inner.addEvent('first token', startTime + firstTokenMs);
      if (failure !== undefined) inner.setStatus({ code: SpanStatusCode.ERROR, message: failure });
      inner.end(endTime);
    } else if (inputTokenCount !== undefined) {
      server.setAttributes({
        'gen_ai.operation.name': 'embeddings',
        'gen_ai.request.model': this.#models.current?.card.id ?? '',
        'gen_ai.usage.input_tokens': inputTokenCount,
      });
    }
    // A client's error is not an error of the server.
    const isError = status >= 500 || (failure !== undefined && status < 400);
    if (isError) server.setStatus({ code: SpanStatusCode.ERROR, message: failure ?? '' });
    server.end(endTime);
  }

  /** Sends the remaining spans. Spans that the collector does not accept in time are lost. */
  async close(): Promise<void> {
    const sent = this.#provider.shutdown().catch(() => {});
    await Promise.race([sent, sleep(closeTimeoutMs, undefined, { ref: false })]);
  }

  #parentOf({ traceHeaders }: RequestRecord): Context {
    if (traceHeaders === undefined) return ROOT_CONTEXT;
    return this.#propagator.extract(ROOT_CONTEXT, traceHeaders, defaultTextMapGetter);
  }
}

function httpAttributes(record: RequestRecord): Attributes {
  const { method, path, route, status, failure, client, keyId, requestId, sentBytes } = record;
  return {
    'http.request.method': method,
    'url.path': path,
    ...(route !== undefined && { 'http.route': route }),
    ...(status !== clientClosedStatus && { 'http.response.status_code': status }),
    'http.response.body.size': sentBytes,
    'client.address': client,
    ...(failure !== undefined && { 'error.type': failure }),
    ...(keyId !== undefined && { 'enduser.id': keyId }),
    'gateway.request.id': requestId,
  };
}

function generationAttributes(
  generation: GenerationRecord,
  operation: string,
  model: string,
): Attributes {
  const { maxTokens, choiceCount, sequences } = generation;
  const maxSeconds = (read: (timings: (typeof sequences)[number]['timings']) => number) =>
    Math.max(0, ...sequences.map(({ timings }) => read(timings))) / 1000;
  return {
    'gen_ai.operation.name': operation,
    'gen_ai.provider.name': 'llama_cpp',
    'gen_ai.request.model': model,
    'gen_ai.response.model': model,
    ...(maxTokens !== undefined && { 'gen_ai.request.max_tokens': maxTokens }),
    ...(choiceCount > 1 && { 'gen_ai.request.choice.count': choiceCount }),
    'gen_ai.usage.input_tokens': generation.promptTokenCount,
    'gen_ai.usage.output_tokens': generation.completionTokenCount,
    'gen_ai.usage.cache_read.input_tokens': generation.cachedTokenCount,
    'gen_ai.response.finish_reasons': sequences.map(({ finishReason }) => finishReason),
    'gateway.queue.seconds': maxSeconds(({ queueMs }) => queueMs),
    'gateway.prefill.seconds': maxSeconds(({ prefillMs }) => prefillMs),
    'gateway.decode.seconds': maxSeconds(({ decodeMs }) => decodeMs),
  };
}
