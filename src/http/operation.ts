/**
 * Converts the description of a route ({@link RouteDoc}) to the schema of which `@fastify/swagger` makes an operation.
 */
import type { FastifySchema } from 'fastify';
import { anthropicStatusOf, isAnthropicPath, toAnthropicError } from '../core/anthropic-error.ts';
import { type ErrorCode, GatewayError } from '../core/errors.ts';
import {
  documentedKeyword,
  type NamedSchema,
  type PlainReply,
  type QueryParameter,
  type RouteDoc,
} from '../core/route-doc.ts';
import type { Access } from './access.ts';

/** The ways to send a key; one is enough. */
export const securitySchemes = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    description: 'The API key as `Authorization: Bearer <key>`.',
  },
  apiKey: {
    type: 'apiKey',
    in: 'header',
    name: 'X-Api-Key',
    description: 'The API key in a header of its own.',
  },
} as const;

export const errorSchema = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['message', 'type', 'param', 'code'],
      properties: {
        message: { type: 'string', description: 'A sentence for people; its wording may change.' },
        type: { type: 'string', description: 'The class of the error, in OpenAI’s words.' },
        param: {
          type: ['string', 'null'],
          description: 'The path of the invalid field, such as `messages[2].content`.',
        },
        code: {
          type: ['string', 'null'],
          description: 'A stable identifier for programs; codes are never renamed.',
        },
      },
    },
  },
} as const;

export const anthropicErrorSchema = {
  type: 'object',
  required: ['type', 'error', 'request_id'],
  properties: {
    type: { const: 'error' },
    error: {
      type: 'object',
      required: ['type', 'message'],
      properties: {
        type: { type: 'string', description: 'The class of the error, in Anthropic’s words.' },
        message: { type: 'string', description: 'A sentence for people; its wording may change.' },
      },
    },
    request_id: { type: 'string' },
  },
} as const;

const errorReference = { $ref: '#/components/schemas/Error' };
const anthropicErrorReference = { $ref: '#/components/schemas/AnthropicError' };

const replyHeaders = {
  'x-request-id': {
    type: 'string',
    description:
      'The id of the request: the `X-Request-Id` of the client if valid, else a new one.',
  },
} as const;

/** The challenge of a 401. */
const challengeHeader = {
  'www-authenticate': { type: 'string', description: 'The scheme to send a key with: `Bearer`.' },
} as const;

/** On the errors that a later attempt may not meet. */
const retryHeader = {
  'retry-after': {
    type: 'integer',
    description: 'The seconds to wait before another attempt, at most 60.',
  },
  'retry-after-ms': { type: 'integer', description: 'The same wait in milliseconds.' },
  'x-should-retry': { type: 'boolean', description: 'Whether another attempt makes sense.' },
} as const;

/** The errors of every route: HTTP that is malformed, too slow or too large, and faults of the server. */
const commonErrors = [
  'bad_request',
  'request_timeout',
  'uri_too_long',
  'header_fields_too_large',
  'internal_error',
] as const satisfies readonly ErrorCode[];

/** The errors of a route that requires a key, by its access. */
function accessErrors(access: Access): readonly ErrorCode[] {
  if (access === 'open') return [];
  const ofKeys = ['invalid_api_key', 'rate_limit_exceeded', 'concurrency_exceeded'] as const;
  if (access === 'key') return ofKeys;
  if (access === 'admin') return [...ofKeys, 'insufficient_scope'];
  return [...ofKeys, 'insufficient_scope', 'model_not_allowed'];
}

/**
 * @param url - of the route
 * @param access - the access that the route requires
 * @param authenticationEnabled - false makes the key optional for every route
 */
export function toOperationSchema(
  doc: RouteDoc,
  url: string,
  access: Access,
  authenticationEnabled: boolean,
): FastifySchema {
  const { operationId, tag, summary, description, body, unavailable, errors = [] } = doc;
  return {
    operationId,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    security: securityOf(access, authenticationEnabled),
    ...parametersOf(doc),
    ...(body && { body: reference(body) }),
    response: {
      200: toReply(doc, url),
      ...errorResponses([...errors, ...accessErrors(access), ...commonErrors], url),
      ...(unavailable && { 503: toUnavailable(unavailable) }),
    },
  };
}

/** The schemas that an operation refers to, by name. */
export function namedSchemasOf({ body, reply, chunk }: RouteDoc): Record<string, object> {
  return Object.fromEntries(
    [body, reply, chunk].flatMap((each) =>
      each !== undefined && 'name' in each ? [[each.name, toDocumented(each.schema)]] : [],
    ),
  );
}

function securityOf(
  access: Access,
  authenticationEnabled: boolean,
): NonNullable<FastifySchema['security']> {
  if (access === 'open') return [];
  const keys = Object.keys(securitySchemes).map((name) => ({ [name]: [] }));
  return authenticationEnabled ? keys : [...keys, {}];
}

function parametersOf({ pathParameter, queryParameters }: RouteDoc): FastifySchema {
  return {
    ...(pathParameter && {
      params: parameters({ [pathParameter.name]: { description: pathParameter.description } }),
    }),
    ...(queryParameters && { querystring: parameters(queryParameters) }),
  };
}

function parameters(named: Readonly<Record<string, QueryParameter>>) {
  const properties = Object.entries(named).map(([name, { values, ...keywords }]) => [
    name,
    { type: 'string', ...keywords, ...(values && { enum: values }) },
  ]);
  return { type: 'object', properties: Object.fromEntries(properties) };
}

function toReply({ reply, chunk }: RouteDoc, url: string): object {
  const headers = replyHeaders;
  if (reply === undefined) return { type: 'null', description: 'The reply has no body.', headers };
  return {
    description: descriptionOf(reply, chunk),
    headers,
    content: 'mediaType' in reply ? plainContent(reply) : jsonContent(reply, chunk, url),
  };
}

function toUnavailable(reply: PlainReply): object {
  const { description } = reply;
  return {
    description,
    headers: { ...replyHeaders, ...retryHeader },
    content: plainContent(reply),
  };
}

function descriptionOf(
  reply: NonNullable<RouteDoc['reply']>,
  chunk: NamedSchema | undefined,
): string {
  if ('mediaType' in reply) return reply.description;
  return chunk === undefined ? 'The reply.' : 'The reply, in one piece or as a stream.';
}

function plainContent({ mediaType, otherMediaTypes = [] }: PlainReply): object {
  const mediaTypes = [mediaType, ...otherMediaTypes];
  return Object.fromEntries(
    mediaTypes.map((each) => [
      each,
      { schema: { type: each === 'application/json' ? 'object' : 'string' } },
    ]),
  );
}

function jsonContent(
  reply: NamedSchema & { readonly example?: object },
  chunk: NamedSchema | undefined,
  url: string,
): object {
  return {
    'application/json': {
      schema: reference(reply),
      ...(reply.example && { example: reply.example }),
    },
    ...(chunk && {
      'text/event-stream': {
        schema: hasNamedEvents(url) ? toNamedEvent(chunk, url) : toEvent(chunk),
      },
    }),
  };
}

/** One event of a stream: OpenAPI 3.1 has no words for a sequence of events, so tools read the schema as that of each. */
function toEvent(chunk: NamedSchema): object {
  return {
    type: 'object',
    description:
      'One event. With `stream: true` the reply has one for each chunk, then one with `[DONE]`. If the completion fails, the last event holds an error instead. Clients skip lines that begin with a colon.',
    required: ['data'],
    properties: {
      data: {
        anyOf: [
          { const: '[DONE]' },
          ...[reference(chunk), errorReference].map((contentSchema) => ({
            type: 'string',
            contentMediaType: 'application/json',
            contentSchema,
          })),
        ],
      },
    },
  };
}

function hasNamedEvents(url: string): boolean {
  return isAnthropicPath(url) || url.startsWith('/v1/responses');
}

/** One event of a stream whose events have names. */
function toNamedEvent(chunk: NamedSchema, url: string): object {
  const schemas = [reference(chunk), ...(isAnthropicPath(url) ? [anthropicErrorReference] : [])];
  return {
    type: 'object',
    description:
      'One event, whose name is the type of its data. If the completion fails, the last event says so. Clients skip lines that begin with a colon.',
    required: ['event', 'data'],
    properties: {
      event: { type: 'string' },
      data: {
        anyOf: schemas.map((contentSchema) => ({
          type: 'string',
          contentMediaType: 'application/json',
          contentSchema,
        })),
      },
    },
  };
}

/** One response for each status, with an example for each code. */
function errorResponses(codes: readonly ErrorCode[], url: string): Record<string, object> {
  const errors = [...new Set(codes)].map((code) => new GatewayError(code));
  const isAnthropic = isAnthropicPath(url);
  const statusOf = isAnthropic ? anthropicStatusOf : (error: GatewayError) => error.status;
  const statuses = [...new Set(errors.map(statusOf))].sort();
  return Object.fromEntries(
    statuses.map((status) => {
      const same = errors.filter((error) => statusOf(error) === status);
      const examples = same.map((error) => [
        error.code,
        { value: isAnthropic ? toAnthropicError(error, 'req_0123456789') : error.toBody() },
      ]);
      const canRetry = same.some(({ retryAfterMs }) => retryAfterMs !== undefined);
      return [
        String(status),
        {
          description: same.map(describe).join(' '),
          headers: {
            ...replyHeaders,
            ...(status === 401 && challengeHeader),
            ...(canRetry && retryHeader),
          },
          content: {
            'application/json': {
              schema: isAnthropic ? anthropicErrorReference : errorReference,
              examples: Object.fromEntries(examples),
            },
          },
        },
      ];
    }),
  );
}

/** In the words of the wire: several errors may share a code, and differ in their type. */
function describe(error: GatewayError): string {
  const { code, type } = error.toBody().error;
  return `\`${code}\` (\`${type}\`): ${error.message}`;
}

/**
 * The schema that a request is checked with, as the document shows it: the narrower schema where a handler
 * checks more, and no bounds that a JSON number cannot hold exactly.
 */
function toDocumented(schema: object): object {
  if (Array.isArray(schema)) return schema.map(toDocumentedValue);
  const { [documentedKeyword]: narrower, ...rest } = schema as Record<string, unknown>;
  const entries = Object.entries({ ...rest, ...(narrower as object | undefined) });
  return Object.fromEntries(
    entries
      .filter(([key, value]) => !(isBound(key) && !isExact(value)))
      .map(([key, value]) => [key, toDocumentedValue(value)]),
  );
}

function toDocumentedValue(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? toDocumented(value) : value;
}

function isBound(key: string): boolean {
  return key === 'minimum' || key === 'maximum';
}

function isExact(value: unknown): boolean {
  return typeof value !== 'number' || Math.abs(value) <= Number.MAX_SAFE_INTEGER;
}

function reference({ name }: NamedSchema): { readonly $ref: string } {
  return { $ref: `#/components/schemas/${name}` };
}
