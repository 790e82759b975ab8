import type { AddressInfo } from 'node:net';
import pino from 'pino';
import { onTestFinished } from 'vitest';
import { Admission, type AdmissionLimits } from '../../src/admission/admission.ts';
import { Drain } from '../../src/admission/drain.ts';
import { type ModelCard, ModelRegistry } from '../../src/model/registry.ts';
import { AccessLog, type AccessLogOptions } from '../../src/observe/access-log.ts';
import { EngineWatch } from '../../src/observe/engine-watch.ts';
import { Metrics } from '../../src/observe/metrics/metrics.ts';
import type { TraceObserver } from '../../src/observe/trace/request-trace.ts';
import {
  type AccessOptions,
  buildGateway,
  type Gateway,
  type GatewayDeps,
  type GatewaySettings,
} from '../../src/server/gateway.ts';
import { FakeEngine, type FakeInfo } from './fake-engine.ts';

export const card: ModelCard = {
  id: 'tiny/story model',
  created: 1_700_000_000,
  path: '/models/tiny.gguf',
  architecture: 'llama',
  trainedContextLength: 4096,
  parameterCount: 260_000,
  quantization: 'Q8_0',
  sizeBytes: 1_185_376,
  bundled: false,
  chatTemplate: '{{ messages }}',
  bosToken: '<s>',
  eosToken: '</s>',
};

const limits: GatewaySettings['limits'] = {
  bodyBytes: 1_000_000,
  headerCount: 64,
  headerLineBytes: 8192,
  requestLineBytes: 8192,
  headerTimeoutMs: 30_000,
  connectionCount: 1000,
};

/** A gateway over a fake engine, with everything a test may want to look at. */
export interface TestGateway {
  readonly app: Gateway;
  readonly engine: FakeEngine;
  readonly models: ModelRegistry;
  readonly drain: Drain;
  readonly metrics: Metrics;
  /** Parsed log lines. */
  readonly logLines: Record<string, unknown>[];
}

export interface TestGatewayOptions
  extends Partial<Pick<GatewayDeps, 'authentication' | 'ledger' | 'responseStore' | 'tls'>>,
    Partial<Omit<GatewaySettings, 'limits'>> {
  readonly limits?: Partial<GatewaySettings['limits']>;
  readonly accessLog?: Omit<AccessLogOptions, 'logger'>;
  readonly tracing?: TraceObserver;
  readonly limitStore?: AccessOptions['limitStore'];
  readonly queue?: Partial<AdmissionLimits>;
  /** Leave the registry in its first state. */
  readonly loading?: boolean;
  /** What the fake engine says of itself, where it is not the usual. */
  readonly engineInfo?: FakeInfo;
}

/** Builds a gateway that is closed when the test is over. Opens nothing. */
export function startGateway(options: TestGatewayOptions = {}): TestGateway {
  const gateway = assembleGateway(options);
  const { app } = gateway;
  onTestFinished(async () => {
    app.server.closeAllConnections();
    await app.close();
  });
  return gateway;
}

const reused = new Map<string, TestGateway>();

/**
 * The gateway that earlier tests used, without a trace of their calls. For tables of requests that are answered through
 * `inject` and change nothing in gateway or engine: building one takes ten times as long as a request.
 */
export function reuseGateway(engineInfo: FakeInfo = {}): TestGateway {
  const key = JSON.stringify(engineInfo);
  const gateway = reused.get(key) ?? assembleGateway({ engineInfo });
  reused.set(key, gateway);
  gateway.engine.forgetCalls();
  gateway.logLines.length = 0;
  return gateway;
}

function assembleGateway(options: TestGatewayOptions): TestGateway {
  const engine = new FakeEngine(options.engineInfo);
  const models = new ModelRegistry();
  if (options.loading !== true) models.setReady({ card, engine });
  const drain = new Drain();
  const queue = { waitingCount: 0, waitMs: 0, ...options.queue };
  const admission = new Admission(queue, () => engine.info.slotCount);
  const inputAdmission = new Admission(queue, () => engine.info.slotCount);
  const watch = new EngineWatch(models, 0);
  const metrics = new Metrics({
    ...{ models, watch, admission, inputAdmission },
    modelName: card.id,
    version: '0.0.0',
  });
  const logLines: Record<string, unknown>[] = [];
  const logger = pino(
    { level: 'debug' },
    { write: (line: string) => logLines.push(JSON.parse(line)) },
  );
  const app = buildGateway({
    logger,
    models,
    drain,
    watch,
    admission,
    inputAdmission,
    metrics,
    observers: [
      ...(options.accessLog ? [new AccessLog({ logger, ...options.accessLog })] : []),
      ...(options.tracing ? [options.tracing] : []),
    ],
    settings: {
      limits: { ...limits, ...options.limits },
      trustedProxies: options.trustedProxies ?? [],
      corsOrigins: options.corsOrigins ?? [],
      strictModel: options.strictModel ?? false,
      reasoningField: options.reasoningField ?? 'reasoning_content',
      generationTimeoutMs: options.generationTimeoutMs ?? 0,
    },
    tls: options.tls,
    authentication: options.authentication && {
      ...options.authentication,
      limitStore: options.limitStore,
    },
    ledger: options.ledger,
    responseStore: options.responseStore,
    version: '0.0.0',
  });
  return { app, engine, models, drain, metrics, logLines };
}

/** Opens a real listener, for what `inject` cannot show. */
export async function listen(app: Gateway): Promise<{ port: number; baseUrl: string }> {
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  return { port, baseUrl: `http://127.0.0.1:${port}` };
}

/** The smallest valid body, and what a test adds to it. */
export function chatBody(fields: Record<string, unknown> = {}): Record<string, unknown> {
  return { model: card.id, messages: [{ role: 'user', content: 'Tell a story' }], ...fields };
}

/** Posts a chat request through `inject`. */
export function postChat(app: Gateway, fields: Record<string, unknown> = {}) {
  return app.inject({ method: 'POST', url: '/v1/chat/completions', payload: chatBody(fields) });
}

/** Posts a text completion request through `inject`. */
export function postText(app: Gateway, fields: Record<string, unknown> = {}) {
  const payload = { model: card.id, prompt: 'Once upon a time', ...fields };
  return app.inject({ method: 'POST', url: '/v1/completions', payload });
}
