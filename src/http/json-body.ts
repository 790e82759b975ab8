import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { GatewayError } from '../core/errors.ts';

/** How JSON writes half of a surrogate pair, or a pair: bytes that are UTF-8 have none. */
const surrogateEscape = /\\u[dD][89a-fA-F]/;

/**
 * Reads JSON bodies. Bytes that are no UTF-8 and texts that are no Unicode are refused instead of being
 * replaced, since the model would then be asked something else.
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
      void parse(request, text, (error, value) => {
        const mayHaveHalf = error === null && surrogateEscape.test(text);
        const path = mayHaveHalf ? pathOfHalf(value ?? {}) : undefined;
        done(path === undefined ? error : noUnicode(path), value);
      });
    },
  );
}

function noUnicode(path: string): GatewayError {
  const param = path.slice(0, 200);
  return new GatewayError('invalid_value', {
    ...(param !== '' && { param }),
    message: `\`${param || 'the body'}\` must be Unicode text, received one with half of a surrogate pair.`,
  });
}

/** Where half of a surrogate pair stands, such as `messages[0].content`. A body may nest without end. */
function pathOfHalf(body: unknown): string | undefined {
  const open = [{ value: body, path: '' }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { value, path } = next;
    if (typeof value === 'string') {
      if (!value.isWellFormed()) return path;
      continue;
    }
    const isArray = Array.isArray(value);
    // The first member comes off the stack first.
    for (const [name, member] of Object.entries(value as object).reverse()) {
      if (!isArray && !name.isWellFormed()) return path;
      if (typeof member !== 'string' && (typeof member !== 'object' || member === null)) continue;
      const place = isArray ? `${path}[${name}]` : path === '' ? name : `${path}.${name}`;
      open.push({ value: member, path: place });
    }
  }
  return undefined;
}
