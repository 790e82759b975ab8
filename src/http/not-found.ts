/** Answers a request without a route: 405 with `Allow` where the path takes other methods, else 404 with the nearest route. */
import fp from 'fastify-plugin';
import { GatewayError } from '../core/errors.ts';
import { pathOf } from './route-paths.ts';

/** Its reply would repeat the request with its key; no route has it, also none of every method. */
const forbiddenMethod = 'TRACE';

/** Registered after {@link routePaths}; it refuses before the body is read. */
export const notFound = fp(async (app) => {
  app.addHook('onRequest', async (request, reply) => {
    const { method } = request;
    if (!request.is404 && method !== forbiddenMethod) return;
    const path = pathOf(request.url);
    const methods = app.routePaths.methodsOf(path)?.filter((each) => each !== forbiddenMethod);
    const allowed = methods?.join(', ');
    if (allowed === undefined) {
      const nearest = app.routePaths.nearest({ method, path });
      throw new GatewayError('not_found', {
        message:
          nearest === undefined
            ? 'There is no such endpoint; `GET /docs` lists all of them.'
            : `There is no such endpoint; the nearest one is \`${nearest.method} ${nearest.path}\`.`,
      });
    }
    reply.header('allow', allowed);
    throw new GatewayError('method_not_allowed', {
      message: `The method ${method} is not allowed here; use ${allowed}.`,
    });
  });
});
