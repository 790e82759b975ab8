/** Reads JSON bodies. */
import { isUtf8 } from 'node:buffer';
import fp from 'fastify-plugin';
import { GatewayError } from '../core/errors.ts';

/** The escape of a surrogate, alone or in a pair: valid UTF-8 holds surrogates in no other form. */
const surrogateEscape = /\\u[dD][89a-fA-F]/;

/**
 * Refuses bytes that are not valid UTF-8, and texts that are not valid Unicode: replacement characters would change the
 * prompt.
 */
export const jsonBody = fp(async (app) => {
  app.removeContentTypeParser('text/plain');
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
});

function noUnicode(path: string): GatewayError {
  const param = path.slice(0, 200);
  return new GatewayError('invalid_value', {
    ...(param !== '' && { param }),
    message: `\`${param || 'the body'}\` must be Unicode text, received one with half of a surrogate pair.`,
  });
}

/** The path of half a surrogate pair, such as `messages[0].content`. Iterative, because a body may nest deeply. */
function pathOfHalf(body: unknown): string | undefined {
  const open = [{ value: body, path: '' }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { value, path } = next;
    if (typeof value === 'string') {
      if (!value.isWellFormed()) return path;
      continue;
    }
    const isArray = Array.isArray(value);
    // The stack returns the first member first.
    for (const [name, member] of Object.entries(value as object).reverse()) {
      if (!isArray && !name.isWellFormed()) return path;
      if (typeof member !== 'string' && (typeof member !== 'object' || member === null)) continue;
      const place = isArray ? `${path}[${name}]` : path === '' ? name : `${path}.${name}`;
      open.push({ value: member, path: place });
    }
  }
  return undefined;
}
