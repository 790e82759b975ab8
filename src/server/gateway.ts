import { METHODS, type Server, type ServerOptions } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyBaseLogger, type FastifyHttpOptions, LogController } from 'fastify';
import type { Logger } from 'pino';
import type { LimitStore } from '../access/limits/limit-store.ts';
import type { UsageLedger } from '../access/usage/usage-recorder.ts';
import type { Admission } from '../admission/admission.ts';
import type { Drain } from '../admission/drain.ts';
import { chatCompletions } from '../api/chat/chat-completions.ts';
import { chatPrompts } from '../api/chat/chat-prompts.ts';
import { health } from '../api/info/health.ts';
import { metricsRoute } from '../api/info/metrics.ts';
import { models as modelRoutes } from '../api/info/models.ts';
import { props } from '../api/info/props.ts';
import { reload } from '../api/info/reload.ts';
import { usage } from '../api/info/usage.ts';
import { completions } from '../api/text/completions.ts';
import { tokens } from '../api/text/tokens.ts';
import { embeddings } from '../api/vectors/embeddings.ts';
import { rerank } from '../api/vectors/rerank.ts';
import type { HttpLimits } from '../config/config.ts';
import { type AuthenticationOptions, addAuthentication } from '../http/authentication.ts';
import { clientErrorHandler } from '../http/client-error.ts';
import { addCors, type CorsOrigins } from '../http/cors.ts';
import { addErrorHandler, frameworkErrorHandler } from '../http/error-handler.ts';
import { addHttpLimits, nodeLimits, requestTimeoutOf } from '../http/http-limits.ts';
import { addJsonBody } from '../http/json-body.ts';
import { addKeyLimits } from '../http/key-limits.ts';
import { addNotFound } from '../http/not-found.ts';
import { addOpenAiHeaders } from '../http/openai-headers.ts';
import { addOpenApi } from '../http/openapi.ts';
import { addPreflight } from '../http/preflight.ts';
import { addRequestId, chooseRequestId } from '../http/request-id.ts';
import { addRequestTrace } from '../http/request-trace.ts';
import { addUsage } from '../http/usage.ts';
import { toValidationError } from '../http/validation-error.ts';
import type { ModelRegistry } from '../model/registry.ts';
import { AccessLog, type AccessLogOptions } from '../observe/access-log.ts';
import type { Metrics } from '../observe/metrics/metrics.ts';
import type { TraceObserver } from '../observe/trace/request-trace.ts';
import type { TlsMaterial } from './tls-certificate.ts';

/** Everything the gateway is made of. */
export interface GatewayDeps {
  readonly logger: Logger;
  readonly models: ModelRegistry;
  readonly drain: Drain;
  /** Of requests that generate ... */
  readonly admission: Admission;
  /** ... and of those that compute inputs. */
  readonly inputAdmission: Admission;
  readonly metrics: Metrics;
  /** Undefined: requests are not logged. */
  readonly accessLog?: Omit<AccessLogOptions, 'logger'> | undefined;
  /** Told of every request beside metrics and access log. */
  readonly tracing?: TraceObserver | undefined;
  readonly limits: HttpLimits;
  /** What TLS is spoken with; left out: HTTP is. */
  readonly tls?: TlsMaterial | undefined;
  /** Milliseconds a completion may take, its stream included; 0 is without limit. */
  readonly generationTimeoutMs: number;
  /** Origins whose pages may call the server. */
  readonly corsOrigins: CorsOrigins;
  /** Refuse a `model` other than the served one, instead of ignoring the field. */
  readonly strictModel: boolean;
  /** How requests are authenticated; left out: everybody is let in. */
  readonly authentication?: AuthenticationOptions | undefined;
  /** Where it is counted what keys use; left out: keys have no limits. */
  readonly limitStore?: LimitStore | undefined;
  /** Where it is recorded what keys used; left out: nowhere. */
  readonly ledger?: UsageLedger | undefined;
  /** Addresses and networks whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  /** Of this program; part of `system_fingerprint`. */
  readonly version: string;
}

/** The HTTP interface: `listen`, `close`, and `inject` for tests. */
export type Gateway = ReturnType<typeof buildGateway>;

/** Connections that are kept open between requests: longer than proxies keep theirs (60 s, as a rule). */
const idleConnectionMs = 72_000;

/** Registers plugins, then routes. Opens nothing. */
export function buildGateway({
  logger,
  models,
  drain,
  admission,
  inputAdmission,
  metrics,
  accessLog,
  tracing,
  limits,
  tls,
  generationTimeoutMs,
  corsOrigins,
  strictModel,
  authentication,
  limitStore,
  ledger,
  trustedProxies,
  version,
}: GatewayDeps) {
  const app = Fastify({
    loggerInstance: logger as FastifyBaseLogger,
    logController: new LogController({
      disableRequestLogging: true,
      requestIdLogLabel: 'requestId',
    }),
    genReqId: chooseRequestId,
    bodyLimit: limits.bodyBytes,
    requestTimeout: requestTimeoutOf(limits),
    keepAliveTimeout: idleConnectionMs,
    ...transport(limits, tls),
    trustProxy: trustedProxies.length === 0 ? false : [...trustedProxies],
    // While closing, generation is refused by the drain and health still answers.
    return503OnClosing: false,
    routerOptions: { ignoreTrailingSlash: true },
    ajv: {
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        allowUnionTypes: true,
        // Hands the failed value to `toValidationError`.
        verbose: true,
      },
    },
    schemaErrorFormatter: toValidationError,
    frameworkErrors: frameworkErrorHandler(corsOrigins),
    clientErrorHandler: clientErrorHandler(limits, corsOrigins),
  }).withTypeProvider<TypeBoxTypeProvider>();

  app.removeContentTypeParser('text/plain');
  addJsonBody(app);
  for (const method of METHODS) {
    if (!app.supportedMethods.includes(method)) app.addHttpMethod(method);
  }

  const observers: TraceObserver[] = [metrics];
  if (accessLog !== undefined) observers.push(new AccessLog({ logger, ...accessLog }));
  if (tracing !== undefined) observers.push(tracing);
  addRequestTrace(app, observers);
  addRequestId(app);
  addOpenAiHeaders(app);
  addErrorHandler(app);
  addCors(app, corsOrigins);
  // Hooks run in the order they are added, and those of a plugin are added when it has loaded.
  app.after(() => {
    addHttpLimits(app, limits);
    addPreflight(app);
    addAuthentication(app, authentication, models);
    if (authentication !== undefined && limitStore !== undefined) addKeyLimits(app, limitStore);
    addUsage(app, ledger);
    addNotFound(app);
  });
  app.decorate('generationTimeoutMs', generationTimeoutMs);
  addOpenApi(app, version);

  app.register(health, {
    models,
    drain,
    admission,
    metrics,
    authenticationEnabled: authentication !== undefined,
  });
  // What single keys do is shown only where a key is needed to see it.
  app.register(metricsRoute, { metrics, showsKeys: authentication?.protectedMetrics ?? false });
  app.register(reload, { keys: authentication?.keys });
  app.register(usage, { ledger, authenticationEnabled: authentication !== undefined });
  app.register(modelRoutes, { models });
  app.register(chatCompletions, { models, drain, admission, strictModel, version });
  app.register(completions, { models, drain, admission, strictModel, version });
  app.register(embeddings, { models, drain, inputAdmission, strictModel });
  app.register(rerank, { models, drain, inputAdmission, strictModel });
  app.register(chatPrompts, { models, strictModel });
  app.register(tokens, { models });
  app.register(props, { models, version });

  return app;
}

/**
 * The options of Node's server. Fastify's types tell apart what is the same for all that is built here: a
 * server with TLS is handled like one without.
 */
function transport(
  limits: HttpLimits,
  tls: TlsMaterial | undefined,
): Pick<FastifyHttpOptions<Server>, 'http'> {
  const node = nodeLimits(limits);
  if (tls === undefined) return { http: node };
  return { https: { ...node, ...tls, minVersion: 'TLSv1.2' } } as { http?: ServerOptions };
}
