/**
 * The API described for people: `GET /docs` is Swagger UI over the API document. The page loads everything from this
 * server: its Content-Security-Policy allows nothing else.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import Fastify from 'fastify';
import fp from 'fastify-plugin';
import { GatewayError } from '../core/errors.ts';
import type { RouteDoc } from '../core/route-doc.ts';

/** Swagger UI draws its icons from `data:` URLs. */
const contentSecurityPolicy = {
  'default-src': "'none'",
  'script-src': "'self'",
  'style-src': "'self'",
  'img-src': "'self' data:",
  'connect-src': "'self'",
  'base-uri': "'none'",
  'form-action': "'none'",
  'frame-ancestors': "'none'",
};

/** Headers of the viewer's replies that reach the client. */
const passedHeaders = [
  'cache-control',
  'content-security-policy',
  'content-type',
  'etag',
  'last-modified',
  'location',
] as const;

/** Registered after the API document. */
export const docs = fp(async (app) => {
  let viewer: Promise<FastifyInstance> | undefined;
  const show = async (request: FastifyRequest, reply: FastifyReply) => {
    viewer ??= openViewer(app).catch((error) => {
      viewer = undefined;
      throw error;
    });
    const headers = conditionsOf(request);
    const page = await (await viewer).inject({ method: 'GET', url: request.url, headers });
    if (page.statusCode === 404) throw new GatewayError('not_found');
    for (const name of passedHeaders) {
      const value = page.headers[name];
      if (value !== undefined) reply.header(name, value);
    }
    return reply.code(page.statusCode).send(page.rawPayload);
  };
  app.get('/docs', { config: { access: 'open', doc } }, show);
  app.route({ method: 'GET', url: '/docs/*', config: { access: 'open' }, handler: show });
  app.addHook('onClose', async () => (await viewer)?.close());
});

/** The headers by which a browser asks whether its copy of a file is current. */
function conditionsOf({ headers }: FastifyRequest): Record<string, string> {
  const { 'if-none-match': etag, 'if-modified-since': time } = headers;
  return {
    ...(etag !== undefined && { 'if-none-match': etag }),
    ...(time !== undefined && { 'if-modified-since': time }),
  };
}

/** An application of its own, created at the first request: loading its libraries takes about 50 ms. */
async function openViewer(app: FastifyInstance): Promise<FastifyInstance> {
  const [{ default: swagger }, { default: swaggerUi }] = await Promise.all([
    import('@fastify/swagger'),
    import('@fastify/swagger-ui'),
  ]);
  const viewer = Fastify({ routerOptions: { ignoreTrailingSlash: true } });
  await viewer.register(swagger, {
    mode: 'static',
    specification: { document: app.swagger() as never },
  });
  await viewer.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: contentSecurityPolicy,
    theme: { title: 'llama-gguf-inference: API' },
    uiConfig: {
      layout: 'BaseLayout',
      tryItOutEnabled: true,
      displayRequestDuration: true,
      // Highlighting a long reply blocks the page.
      syntaxHighlight: false,
    },
  });
  return viewer;
}

const doc: RouteDoc = {
  operationId: 'getDocs',
  tag: 'Server',
  summary: 'Open this document as a page that can send requests',
  reply: { mediaType: 'text/html', description: 'Swagger UI; it loads nothing from elsewhere.' },
};
