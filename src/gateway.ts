import { METHODS } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyBaseLogger, LogController } from 'fastify';
import type { Logger } from 'pino';
import { chatCompletions } from './api/chat-completions.ts';
import { chatPrompts } from './api/chat-prompts.ts';
import { completions } from './api/completions.ts';
import { embeddings } from './api/embeddings.ts';
import { health } from './api/health.ts';
import { models as modelRoutes } from './api/models.ts';
import { props } from './api/props.ts';
import { rerank } from './api/rerank.ts';
import { tokens } from './api/tokens.ts';
import type { Drain } from './drain.ts';
import type { ModelRegistry } from './model/registry.ts';
import { answerClientError } from './plugins/client-error.ts';
import { addErrorHandler, replyWithFrameworkError } from './plugins/error-handler.ts';
import { addNotFound } from './plugins/not-found.ts';
import { addRequestId, chooseRequestId } from './plugins/request-id.ts';
import { toValidationError } from './plugins/validation-error.ts';

/** Everything the gateway is made of. */
export interface GatewayDeps {
  readonly logger: Logger;
  readonly models: ModelRegistry;
  readonly drain: Drain;
  readonly limits: {
    /** Size of a request body at most, in bytes. */
    readonly bodyBytes: number;
  };
  /** Refuse a `model` other than the served one, instead of ignoring the field. */
  readonly strictModel: boolean;
  /** Of this program; part of `system_fingerprint`. */
  readonly version: string;
}

/** The HTTP interface: `listen`, `close`, and `inject` for tests. */
export type Gateway = ReturnType<typeof buildGateway>;

/** A client has this long to send a whole request; a body of 10 MiB then needs 1.4 Mbit/s. */
const requestTimeoutMs = 60_000;

/** Registers plugins, then routes. Opens nothing. */
export function buildGateway({ logger, models, drain, limits, strictModel, version }: GatewayDeps) {
  const app = Fastify({
    loggerInstance: logger as FastifyBaseLogger,
    logController: new LogController({
      disableRequestLogging: true,
      requestIdLogLabel: 'requestId',
    }),
    genReqId: chooseRequestId,
    bodyLimit: limits.bodyBytes,
    requestTimeout: requestTimeoutMs,
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
    frameworkErrors: replyWithFrameworkError,
    clientErrorHandler: answerClientError,
  }).withTypeProvider<TypeBoxTypeProvider>();

  app.removeContentTypeParser('text/plain');
  for (const method of METHODS) {
    if (!app.supportedMethods.includes(method)) app.addHttpMethod(method);
  }

  addRequestId(app);
  addErrorHandler(app);
  addNotFound(app);

  app.register(health, { models, drain, authenticationEnabled: false });
  app.register(modelRoutes, { models });
  app.register(chatCompletions, { models, drain, strictModel, version });
  app.register(completions, { models, drain, strictModel, version });
  app.register(embeddings, { models, drain, strictModel });
  app.register(rerank, { models, drain, strictModel });
  app.register(chatPrompts, { models, strictModel });
  app.register(tokens, { models });
  app.register(props, { models, version });

  return app;
}
