import fp from 'fastify-plugin';
import type { RouteDoc } from '../core/route-doc.ts';
import { toDocsPage } from './docs-page.ts';
import { type DocumentedRoute, type OpenApiDocument, toOpenApi } from './openapi-document.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the API document says of the route; without, it is left out there. */
    readonly doc?: RouteDoc;
  }
}

export interface OpenApiOptions {
  /** The version of this program. */
  readonly version: string;
}

/**
 * `GET /openapi.json`, the API as a document for programs, and `GET /docs`, the same for people. Registered
 * before the routes, whose registration it observes.
 */
export const openApi = fp<OpenApiOptions>(async (app, { version }) => {
  const routes: DocumentedRoute[] = [];
  app.addHook('onRoute', ({ url, method, config }) => {
    const doc = config?.doc;
    if (doc === undefined) return;
    const [name] = [method].flat().includes('GET') ? ['GET'] : [method].flat();
    // Fastify adds a HEAD to each GET by itself.
    if (name === undefined || name === 'HEAD') return;
    routes.push({ url, method: name.toLowerCase(), doc });
  });

  let document: OpenApiDocument | undefined;
  const documentOf = () => {
    document ??= toOpenApi(routes, version);
    return document;
  };

  app.get(
    '/openapi.json',
    { config: { access: 'open', doc: documentDoc } },
    async (_request, reply) => {
      return reply.type('application/json').send(JSON.stringify(documentOf(), null, 2));
    },
  );

  app.get('/docs', { config: { access: 'open', doc: pageDoc } }, async (_request, reply) => {
    return reply
      .header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'")
      .type('text/html; charset=utf-8')
      .send(toDocsPage(documentOf()));
  });
});

const documentDoc: RouteDoc = {
  operationId: 'getOpenApi',
  tag: 'Server',
  summary: 'This document',
  reply: { mediaType: 'application/json', description: 'An OpenAPI 3.1 document.' },
};

const pageDoc: RouteDoc = {
  operationId: 'getDocs',
  tag: 'Server',
  summary: 'This document as a page',
  reply: { mediaType: 'text/html', description: 'A page that loads nothing from elsewhere.' },
};
