import { type ErrorCode, GatewayError } from '../core/errors.ts';
import type { NamedSchema, RouteDoc } from '../core/route-doc.ts';

/** A route as it was registered. */
export interface DocumentedRoute {
  /** Lower case. */
  readonly method: string;
  readonly url: string;
  readonly doc: RouteDoc;
}

/** The parts of an OpenAPI document that are read again here. */
export interface OpenApiDocument {
  readonly openapi: '3.1.0';
  readonly info: object;
  readonly servers: readonly object[];
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

export interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required: true; readonly content: Content };
  readonly responses: Readonly<Record<string, Response>>;
}

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly required: boolean;
  readonly description: string;
  readonly schema: { readonly type: 'string' };
}

interface Response {
  readonly description: string;
  readonly headers?: Readonly<Record<string, object>>;
  readonly content?: Content;
}

type Content = Readonly<Record<string, MediaType>>;

interface MediaType {
  readonly schema: object;
  readonly example?: object;
  readonly examples?: Readonly<Record<string, { readonly value: object }>>;
}

const tags = [
  { name: 'Completions', description: 'Text from the model, whole or as a stream.' },
  { name: 'Embeddings', description: 'Vectors of texts, and documents ranked by a query.' },
  { name: 'Models', description: 'The served model.' },
  { name: 'Tokens', description: 'Text to tokens and back, and what a chat becomes of.' },
  { name: 'Server', description: 'State and properties of the server.' },
] as const;

/** Errors that any route can answer with. */
const commonErrors = ['internal_error'] as const satisfies readonly ErrorCode[];

const errorSchema = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['message', 'type', 'param', 'code'],
      properties: {
        message: { type: 'string', description: 'For people.' },
        type: { type: 'string' },
        param: {
          type: ['string', 'null'],
          description: 'The field that is wrong, such as `messages[2].content`.',
        },
        code: { type: ['string', 'null'], description: 'For programs; never renamed.' },
      },
    },
  },
} as const;

const replyHeaders = {
  'x-request-id': {
    description: 'The id of the request: the client’s own where it sent one, else a new one.',
    schema: { type: 'string' },
  },
};

/** The OpenAPI document of these routes. */
export function toOpenApi(routes: readonly DocumentedRoute[], version: string): OpenApiDocument {
  const paths: Record<string, Record<string, Operation>> = {};
  for (const { url, method, doc } of routes) {
    const path = url.replace(/\*$/, `{${doc.pathParameter?.name}}`);
    paths[path] = { ...paths[path], [method]: toOperation(doc) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'llama-gguf-inference',
      version,
      description: 'A GGUF model behind the API of OpenAI and parts of llama-server’s.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    tags,
    paths,
    components: { schemas: { ...schemasOf(routes), Error: errorSchema } },
  };
}

function schemasOf(routes: readonly DocumentedRoute[]): Record<string, object> {
  const named = routes.flatMap(({ doc }) => [doc.body, doc.reply, doc.chunk]);
  return Object.fromEntries(
    named.flatMap((each) =>
      each !== undefined && 'name' in each ? [[each.name, each.schema]] : [],
    ),
  );
}

function toOperation(doc: RouteDoc): Operation {
  const { operationId, tag, summary, description, body } = doc;
  const parameters = parametersOf(doc);
  return {
    operationId,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: {
        required: true,
        content: { 'application/json': { schema: reference(body), example: body.example } },
      },
    }),
    responses: { '200': toReply(doc), ...errorResponses(doc.errors ?? []) },
  };
}

function parametersOf({ pathParameter, queryParameters = {} }: RouteDoc): Parameter[] {
  const schema = { type: 'string' } as const;
  const query = Object.entries(queryParameters).map(([name, description]) => {
    return { name, in: 'query', required: false, description, schema } as const;
  });
  if (pathParameter === undefined) return query;
  return [{ ...pathParameter, in: 'path', required: true, schema }, ...query];
}

function toReply({ reply, chunk }: RouteDoc): Response {
  const headers = replyHeaders;
  if (reply === undefined) return { description: 'Done; there is no body.', headers };
  if ('mediaType' in reply) {
    const { mediaType, description } = reply;
    return { description, headers, content: { [mediaType]: { schema: { type: 'string' } } } };
  }
  const stream = chunk && {
    'text/event-stream': {
      schema: {
        type: 'string',
        description:
          'With `stream: true`: one `data:` line for each chunk, then `data: [DONE]`. A stream that fails ends with an error instead. Lines that begin with a colon are to be skipped.',
        contentMediaType: 'application/json',
        contentSchema: reference(chunk),
      },
    },
  };
  return {
    description: chunk === undefined ? 'The answer.' : 'The answer, whole or as a stream.',
    headers,
    content: {
      'application/json': {
        schema: reference(reply),
        ...(reply.example && { example: reply.example }),
      },
      ...stream,
    },
  };
}

/** One response for each status, with an example for each code. */
function errorResponses(codes: readonly ErrorCode[]): Record<string, Response> {
  const errors = [...new Set([...codes, ...commonErrors])].map((code) => new GatewayError(code));
  const statuses = [...new Set(errors.map(({ status }) => status))].sort();
  return Object.fromEntries(
    statuses.map((status) => {
      const same = errors.filter((error) => error.status === status);
      const examples = Object.fromEntries(
        same.map((error) => [error.code, { value: error.toBody() }]),
      );
      return [
        String(status),
        {
          description: same.map(({ code, message }) => `\`${code}\`: ${message}`).join(' '),
          headers: replyHeaders,
          content: {
            'application/json': { schema: { $ref: '#/components/schemas/Error' }, examples },
          },
        },
      ];
    }),
  );
}

function reference({ name }: NamedSchema): { readonly $ref: string } {
  return { $ref: `#/components/schemas/${name}` };
}
