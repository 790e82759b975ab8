/** The HTTP interface of the gateway: the plugins and the routes, in the order in which a request meets them. */
import type { Server, ServerOptions } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyBaseLogger, type FastifyHttpOptions, LogController } from 'fastify';
import type { Logger } from 'pino';
import type { LimitStore } from '../access/limits/limit-store.ts';
import type { UsageLedger } from '../access/usage/usage-recorder.ts';
import type { Admission } from '../admission/admission.ts';
import type { Drain } from '../admission/drain.ts';
import { chatCompletions } from '../api/chat/chat-completions.ts';
import { chatPrompts } from '../api/chat/chat-prompts.ts';
import { tokenize } from '../api/chat/tokenize.ts';
import { health } from '../api/info/health.ts';
import { home } from '../api/info/home.ts';
import { metricsRoute } from '../api/info/metrics.ts';
import { models as modelRoutes } from '../api/info/models.ts';
import { props } from '../api/info/props.ts';
import { reload } from '../api/info/reload.ts';
import { sglang } from '../api/info/sglang.ts';
import { usage } from '../api/info/usage.ts';
import { vllm } from '../api/info/vllm.ts';
import { messages } from '../api/messages/messages.ts';
import type { ResponseStore } from '../api/responses/response-store.ts';
import { responses } from '../api/responses/responses.ts';
import { completions } from '../api/text/completions.ts';
import { detokenize } from '../api/text/detokenize.ts';
import { llamaCompletions } from '../api/text/llama-completions.ts';
import { embeddings } from '../api/vectors/embeddings.ts';
import { rerank } from '../api/vectors/rerank.ts';
import { score } from '../api/vectors/score.ts';
import type { Config, HttpLimits } from '../config/config.ts';
import { documentedKeyword } from '../core/route-doc.ts';
import { anonymousAccess } from '../http/anonymous-access.ts';
import { type AuthenticationOptions, authentication } from '../http/authentication.ts';
import { authorization } from '../http/authorization.ts';
import { bodyType } from '../http/body-type.ts';
import { validatorBuilder } from '../http/body-validator.ts';
import { callerLog } from '../http/caller-log.ts';
import { clientErrorHandler } from '../http/client-error.ts';
import { contentCoding } from '../http/content-coding.ts';
import { cors } from '../http/cors.ts';
import { docs } from '../http/docs.ts';
import { errorHandler, frameworkErrorHandler } from '../http/error-handler.ts';
import { everyMethod } from '../http/every-method.ts';
import { expectContinue } from '../http/expect-continue.ts';
import { extraBody } from '../http/extra-body.ts';
import { httpLimits, nodeLimits, requestTimeoutOf } from '../http/http-limits.ts';
import { jsonBody } from '../http/json-body.ts';
import { keyLimits } from '../http/key-limits.ts';
import { notFound } from '../http/not-found.ts';
import { openAiHeaders } from '../http/openai-headers.ts';
import { openApi } from '../http/openapi.ts';
import { preflight } from '../http/preflight.ts';
import { chooseRequestId, requestId } from '../http/request-id.ts';
import { requestTrace } from '../http/request-trace.ts';
import { RoutePaths, rewriteUrl, routePaths } from '../http/route-paths.ts';
import { usageRecording } from '../http/usage-recording.ts';
import { toValidationError } from '../http/validation-error.ts';
import type { ModelRegistry } from '../model/registry.ts';
import type { EngineWatch } from '../observe/engine-watch.ts';
import type { Metrics } from '../observe/metrics/metrics.ts';
import type { TraceObserver } from '../observe/trace/request-trace.ts';
import { isReady, serviceStateOf } from './service-state.ts';
import type { TlsMaterial } from './tls-certificate.ts';

/** How keys are checked, and what they may use. */
export interface AccessOptions extends AuthenticationOptions {
  /** Where the uses of keys are counted; left out: keys have no limits. */
  readonly limitStore?: LimitStore | undefined;
  /** `/metrics` requires a key. */
  readonly protectedMetrics: boolean;
}

/** The settings that the plugins and routes read. */
export type GatewaySettings = Pick<
  Config['server'],
  | 'limits'
  | 'trustedProxies'
  | 'corsOrigins'
  | 'strictModel'
  | 'reasoningField'
  | 'generationTimeoutMs'
>;

/** What the gateway answers with, and how. */
export interface GatewayDeps {
  readonly logger: Logger;
  readonly models: ModelRegistry;
  readonly drain: Drain;
  readonly watch: EngineWatch;
  /** For requests that generate. */
  readonly admission: Admission;
  /** For embedding and reranking requests. */
  readonly inputAdmission: Admission;
  readonly metrics: Metrics;
  /** The observers of every request beside the metrics. */
  readonly observers: readonly TraceObserver[];
  readonly settings: GatewaySettings;
  /** Left out: the server speaks HTTP without TLS. */
  readonly tls?: TlsMaterial | undefined;
  /** Left out: every client may do everything. */
  readonly authentication?: AccessOptions | undefined;
  /** Where the usage of keys is recorded; left out: nowhere. */
  readonly ledger?: UsageLedger | undefined;
  /** Where responses are kept for later requests; left out: nowhere. */
  readonly responseStore?: ResponseStore | undefined;
  /** The version of this program; a part of `system_fingerprint`. */
  readonly version: string;
}

/** `listen`, `close`, and `inject` for tests. */
export type Gateway = ReturnType<typeof openApp>;

/** How long an idle connection stays open: longer than proxies keep theirs (60 s, as a rule). */
const idleConnectionMs = 72_000;

/** Registers plugins, then routes. Opens no port. */
export function buildGateway(deps: GatewayDeps): Gateway {
  const paths = new RoutePaths();
  const app = openApp(deps, paths);
  app.register(routePaths, { paths });
  registerPlugins(app, deps);
  registerRoutes(app, deps);
  return app;
}

function openApp({ logger, settings, tls }: GatewayDeps, paths: RoutePaths) {
  const { limits, trustedProxies, corsOrigins } = settings;
  return Fastify({
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
    // While the server closes, the drain refuses generation and health still answers.
    return503OnClosing: false,
    routerOptions: { ignoreTrailingSlash: true },
    rewriteUrl: rewriteUrl(paths),
    ajv: {
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        allowUnionTypes: true,
        // Errors carry the invalid value, which `toValidationError` reads.
        verbose: true,
        keywords: [documentedKeyword],
      },
    },
    schemaController: { compilersFactory: { buildValidator: validatorBuilder() } },
    schemaErrorFormatter: toValidationError,
    frameworkErrors: frameworkErrorHandler(corsOrigins),
    clientErrorHandler: clientErrorHandler(limits, corsOrigins),
  }).withTypeProvider<TypeBoxTypeProvider>();
}

/** Hooks run in the order of these lines. */
function registerPlugins(app: Gateway, deps: GatewayDeps): void {
  const { authentication: access, models, metrics, observers, settings, version } = deps;
  app.register(everyMethod);
  app.register(jsonBody);
  app.register(extraBody);
  app.register(requestTrace, { observers: [metrics, ...observers] });
  app.register(requestId);
  app.register(openAiHeaders);
  app.register(errorHandler);
  app.register(cors, { origins: settings.corsOrigins });
  app.register(httpLimits, { limits: settings.limits });
  app.register(preflight);
  if (access === undefined) app.register(anonymousAccess);
  else app.register(authentication, access);
  app.register(callerLog);
  app.register(authorization, { models });
  app.register(keyLimits, { store: access?.limitStore });
  app.register(usageRecording, { ledger: deps.ledger });
  app.register(notFound);
  app.register(bodyType, { origins: settings.corsOrigins });
  app.register(expectContinue);
  app.register(contentCoding);
  app.register(openApi, { version, authenticationEnabled: access !== undefined });
  app.register(docs);
}

function registerRoutes(app: Gateway, deps: GatewayDeps): void {
  const { models, drain, watch, admission, inputAdmission, metrics, ledger, version } = deps;
  const { strictModel, reasoningField, generationTimeoutMs } = deps.settings;
  const authenticationEnabled = deps.authentication !== undefined;
  app.decorate('generationTimeoutMs', generationTimeoutMs);
  const readiness = () => {
    const state = serviceStateOf({ models, drain, watch });
    return { ready: isReady(state), state };
  };
  app.register(home, { models, readiness, version, showsModel: !authenticationEnabled });
  app.register(health, { models, drain, admission, metrics, authenticationEnabled, readiness });
  // Metrics of single keys are shown to keys only.
  app.register(metricsRoute, {
    metrics,
    showsKeys: deps.authentication?.protectedMetrics ?? false,
  });
  app.register(reload, { keys: deps.authentication?.keys });
  app.register(usage, { ledger, authenticationEnabled });
  app.register(modelRoutes, { models });
  app.register(chatCompletions, {
    models,
    drain,
    admission,
    strictModel,
    reasoningField,
    version,
  });
  app.register(responses, {
    ...{ models, drain, admission, strictModel, version },
    store: deps.responseStore,
  });
  app.register(messages, { models, drain, admission, strictModel, version });
  app.register(completions, { models, drain, admission, strictModel, version });
  app.register(llamaCompletions, { models, drain, admission, strictModel, version });
  app.register(embeddings, { models, drain, inputAdmission, strictModel });
  app.register(rerank, { models, drain, inputAdmission, strictModel });
  app.register(score, { models, drain, inputAdmission, strictModel });
  app.register(chatPrompts, { models, strictModel });
  app.register(tokenize, { models, strictModel });
  app.register(detokenize, { models });
  app.register(props, { models, version });
  app.register(vllm, { models, metrics, version });
  app.register(sglang, { models, metrics, version });
}

/** The options of Node's server. Fastify types a server with TLS differently; the gateway treats both alike. */
function transport(
  limits: HttpLimits,
  tls: TlsMaterial | undefined,
): Pick<FastifyHttpOptions<Server>, 'http'> {
  const node = nodeLimits(limits);
  if (tls === undefined) return { http: node };
  return { https: { ...node, ...tls, minVersion: 'TLSv1.2' } } as { http?: ServerOptions };
}
