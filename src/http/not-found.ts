/** Answers a request without a route: 405 with `Allow` where the path takes other methods, else 404. */
import fp from 'fastify-plugin';
import { GatewayError } from '../core/errors.ts';

interface KnownPath {
  readonly pattern: RegExp;
  readonly methods: Set<string>;
}

/** Registered before the routes, whose registration it observes; it refuses before the body is read. */
export const notFound = fp(async (app) => {
  const knownPaths = new Map<string, KnownPath>();

  app.addHook('onRoute', ({ url, method }) => {
    const known = knownPaths.get(url) ?? { pattern: toPattern(url), methods: new Set<string>() };
    for (const name of [method].flat()) known.methods.add(name);
    knownPaths.set(url, known);
  });

  app.addHook('onRequest', async (request, reply) => {
    if (!request.is404) return;
    const path = request.url.replace(/[?#].*$/, '');
    const known = [...knownPaths.values()].find(({ pattern }) => pattern.test(path));
    if (known === undefined) throw new GatewayError('not_found');
    const allowed = [...known.methods].sort().join(', ');
    reply.header('allow', allowed);
    throw new GatewayError('method_not_allowed', {
      message: `The method ${request.method} is not allowed here; use ${allowed}.`,
    });
  });
});

/** A route's URL as a regular expression; routes here use only literal text and a final `*`. */
function toPattern(url: string): RegExp {
  const literal = url.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${literal.replace('*', '.+')}/?$`);
}
