import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { GatewayError } from '../errors.ts';

/**
 * Reads JSON bodies, strictly: bytes that are no UTF-8, and escapes that make half a character, are
 * refused instead of being replaced, since the model would then be asked something else.
 */
export function addJsonBody(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser<Buffer>(
    'application/json',
    { parseAs: 'buffer' },
    (request, body, done) => {
      if (!isUtf8(body)) {
        done(new GatewayError('invalid_json', { message: 'The request body is not valid UTF-8.' }));
        return;
      }
      const text = body.toString('utf8');
      parse(request, text, (error, value) => {
        if (error === null && surrogateEscape.test(text) && !isWellFormed(value)) {
          done(
            new GatewayError('invalid_json', {
              message: 'The request body has a text with half a surrogate pair.',
            }),
          );
        } else {
          done(error, value);
        }
      });
    },
  );
}

/** Only an escape can make half a pair of text that was UTF-8. */
const surrogateEscape = /\\u[dD][89a-fA-F]/;

/** Whether all texts and keys of a parsed JSON value are; without recursion, since it may be deep. */
function isWellFormed(value: unknown): boolean {
  const rest = [value];
  while (rest.length > 0) {
    const next = rest.pop();
    if (typeof next === 'string') {
      if (!next.isWellFormed()) return false;
    } else if (typeof next === 'object' && next !== null) {
      for (const [key, item] of Object.entries(next)) rest.push(key, item);
    }
  }
  return true;
}
