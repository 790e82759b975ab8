/** Lets pages of other origins read replies. */
import fastifyCors from '@fastify/cors';
import fp from 'fastify-plugin';
import { allowsEveryOrigin, type CorsOrigins, isAllowedOrigin } from './origins.ts';

/** Pages can read the refusal of a method that no route has. */
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** Headers of a reply that a page may read. */
const exposedHeaders = [
  ...['X-Request-Id', 'OpenAI-Version', 'OpenAI-Processing-Ms'],
  ...['Retry-After', 'Retry-After-Ms', 'X-Should-Retry', 'WWW-Authenticate'],
  ...['Allow', 'Accept', 'Accept-Encoding'],
  ...['requests', 'tokens'].flatMap((kind) =>
    ['limit', 'remaining', 'reset'].map((part) => `X-RateLimit-${part}-${kind}`),
  ),
];

export interface CorsOptions {
  readonly origins: CorsOrigins;
}

/**
 * Registered before the hooks that refuse, so that pages can read refusals; `preflight.ts` answers the preflight. The
 * headers that a page asks for are allowed: no header makes the server do what the key does not allow.
 */
export const cors = fp<CorsOptions>(async (app, { origins }) => {
  if (origins.length === 0) return;
  await app.register(fastifyCors, {
    origin: allowsEveryOrigin(origins)
      ? '*'
      : (origin, callback) => callback(null, isAllowedOrigin(origin, origins)),
    methods,
    exposedHeaders,
    maxAge: 86_400,
    preflightContinue: true,
    strictPreflight: false,
  });
  app.addHook('onRequest', async ({ headers }, reply) => {
    const { origin } = headers;
    if (!isAllowedOrigin(origin, origins)) return;
    if (maySendCredentials(origin, origins)) {
      reply.header('access-control-allow-credentials', 'true');
    }
    // A page of a public site asks before it calls a server of its own machine or network.
    if (headers['access-control-request-private-network'] === 'true') {
      reply.header('access-control-allow-private-network', 'true');
    }
  });
});

/** The same headers for replies that are written without hooks. */
export function corsHeaders(origins: CorsOrigins, origin: string | undefined): [string, string][] {
  if (origins.length === 0) return [];
  const credentials: [string, string] = ['Access-Control-Allow-Credentials', 'true'];
  const exposed: [string, string] = ['Access-Control-Expose-Headers', exposedHeaders.join(', ')];
  if (allowsEveryOrigin(origins)) return [['Access-Control-Allow-Origin', '*'], exposed];
  if (origin === undefined || !isAllowedOrigin(origin, origins)) return [['Vary', 'Origin']];
  return [
    ['Vary', 'Origin'],
    ['Access-Control-Allow-Origin', origin],
    ...(maySendCredentials(origin, origins) ? [credentials] : []),
    exposed,
  ];
}

/**
 * Cookies, which a proxy in front of the server may read, are accepted from pages whose whole origin is listed, and not
 * from pages that an `*` allows.
 */
function maySendCredentials(origin: string | undefined, origins: CorsOrigins): boolean {
  return origin !== undefined && origins.includes(origin) && !allowsEveryOrigin(origins);
}
