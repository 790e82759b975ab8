/** The API described for programs: `GET /openapi.json`. */
import swagger from '@fastify/swagger';
import fp from 'fastify-plugin';
import type { RouteDoc } from '../core/route-doc.ts';
import {
  anthropicErrorSchema,
  errorSchema,
  namedSchemasOf,
  securitySchemes,
  toOperationSchema,
} from './operation.ts';
import { otherNamesOf } from './route-paths.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the API document says of the route; a route without it is left out of the document. */
    readonly doc?: RouteDoc;
  }
}

/** The parts of an OpenAPI document that this program reads. */
export interface OpenApiDocument {
  readonly openapi: '3.1.0';
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, object>>;
    readonly securitySchemes: Readonly<Record<string, object>>;
  };
}

export interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly schema: object }[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>;
  readonly security?: readonly object[];
}

type Content = Record<string, MediaType>;

interface MediaType {
  readonly schema: object;
  readonly example?: object;
  readonly examples?: Readonly<Record<string, { readonly value: object }>>;
}

const tags: readonly { readonly name: RouteDoc['tag']; readonly description: string }[] = [
  { name: 'Completions', description: 'Text from the model, in one piece or as a stream.' },
  { name: 'Embeddings', description: 'Vectors of texts, and documents ranked by a query.' },
  { name: 'Models', description: 'The served model.' },
  { name: 'Tokens', description: 'Text to tokens and back, and the prompt that a chat becomes.' },
  { name: 'Server', description: 'State and properties of the server.' },
];

export interface OpenApiOptions {
  /** The version of this program. */
  readonly version: string;
  readonly authenticationEnabled: boolean;
}

/** Describes every route that is registered after this plugin and has a `doc`. */
export const openApi = fp<OpenApiOptions>(async (app, { version, authenticationEnabled }) => {
  const schemas: Record<string, object> = {
    Error: errorSchema,
    AnthropicError: anthropicErrorSchema,
  };
  const examples: Record<string, object> = {};

  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'llama-gguf-inference',
        version,
        description:
          'A GGUF model behind the APIs of OpenAI and Anthropic, and parts of those of llama-server, vLLM, SGLang and TEI. Every path is answered with and without the prefix `/v1`, also below `/openai`, `/api/v1` and Azure’s `/openai/deployments/{model}`.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/', description: 'This server' }],
      tags: [...tags],
      components: { securitySchemes },
    },
    convertConstToEnum: false,
    transform: ({ url, route }) => {
      const { doc, access = 'inference' } = route.config ?? {};
      if (doc === undefined) return { schema: { hide: true }, url };
      Object.assign(schemas, namedSchemasOf(doc));
      if (doc.body !== undefined) examples[doc.operationId] = doc.body.example;
      return {
        schema: toOperationSchema(withOtherNames(doc, url), url, access, authenticationEnabled),
        url: url.replace(/\*$/, `:${doc.pathParameter?.name}`),
      };
    },
    transformObject: (described) =>
      'openapiObject' in described
        ? complete(described.openapiObject as unknown as OpenApiDocument, schemas, examples)
        : {},
  });

  let text: string | undefined;
  app.get('/openapi.json', { config: { access: 'open', doc } }, async (_request, reply) => {
    text ??= JSON.stringify(app.swagger(), null, 2);
    return reply.type('application/json').send(text);
  });
});

/**
 * Adds the schemas, and an example of each body, which `@fastify/swagger` drops beside a reference. A route of every
 * method is shown as a GET.
 */
function complete(
  document: OpenApiDocument,
  schemas: Readonly<Record<string, object>>,
  examples: Readonly<Record<string, object>>,
): object {
  const paths = Object.entries(document.paths).map(([path, methods]) => {
    const { get } = methods;
    const shown = Object.entries(methods).filter(
      ([name, { operationId }]) => name === 'get' || operationId !== get?.operationId,
    );
    return [
      path,
      Object.fromEntries(shown.map(([name, each]) => [name, addExample(each, examples)])),
    ];
  });
  return {
    ...document,
    paths: Object.fromEntries(paths),
    components: { ...document.components, schemas },
  };
}

function withOtherNames(doc: RouteDoc, url: string): RouteDoc {
  const names = otherNamesOf(url).map((name) => `\`${name}\``);
  if (names.length === 0) return doc;
  const sentence = `Also answered at ${names.join(', ')}.`;
  return { ...doc, description: [doc.description, sentence].filter(Boolean).join(' ') };
}

function addExample(operation: Operation, examples: Readonly<Record<string, object>>): Operation {
  const example = examples[operation.operationId];
  const content = operation.requestBody?.content['application/json'];
  if (example === undefined || content === undefined) return operation;
  const requestBody = {
    ...operation.requestBody,
    content: { 'application/json': { ...content, example } },
  };
  return { ...operation, requestBody };
}

const doc: RouteDoc = {
  operationId: 'getOpenApi',
  tag: 'Server',
  summary: 'Get this document',
  reply: { mediaType: 'application/json', description: 'An OpenAPI 3.1 document.' },
};
