import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { GatewayError } from '../errors.ts';

/**
 * Reads JSON bodies. Bytes that are no UTF-8 are refused instead of being replaced, since the model would
 * then be asked something else.
 */
export function addJsonBody(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser<Buffer>(
    'application/json',
    { parseAs: 'buffer' },
    (request, body, done) => {
      if (isUtf8(body)) {
        void parse(request, body.toString('utf8'), done);
      } else {
        done(new GatewayError('invalid_json', { message: 'The request body is not valid UTF-8.' }));
      }
    },
  );
}
