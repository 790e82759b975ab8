/** Reads JSON bodies. */
import type { FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { GatewayError } from '../core/errors.ts';
import { nestsDeeper } from '../core/nesting.ts';
import { isDeclaredJson, notJson } from './body-type.ts';
import { jsonText } from './json-text.ts';

/** The escape of a surrogate, alone or in a pair: valid UTF-8 holds surrogates in no other form. */
const surrogateEscape = /\\u[dD][89a-fA-F]/;

/**
 * Parses every body as JSON. Refuses bytes that are not text, and texts that are not valid Unicode: replacement
 * characters would change the prompt.
 */
export const jsonBody = fp(async (app) => {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>(
    ['application/json', '*'],
    { parseAs: 'buffer' },
    (request, body, done) => {
      if (body.length === 0) {
        done(needsBody(request) ? noBody() : null, undefined);
        return;
      }
      const text = jsonText(body, charsetOf(request));
      if (text === undefined) {
        done(isDeclaredJson(request) ? noText() : notJson());
        return;
      }
      let value: unknown;
      try {
        // A key of any name is data: `JSON.parse` makes a property of `__proto__`, too.
        value = JSON.parse(text);
      } catch (error) {
        done(isDeclaredJson(request) ? invalidJson(text, error) : notJson(error));
        return;
      }
      if (nestsDeeper(value, maxDepth)) {
        done(tooDeep());
        return;
      }
      const path = surrogateEscape.test(text) ? pathOfHalf(value ?? {}) : undefined;
      done(path === undefined ? null : noUnicode(path), value);
    },
  );
});

/** Readers of a body are recursive. Free-form parts of it have a limit of their own, see `checkDepth`. */
const maxDepth = 256;

function tooDeep(): GatewayError {
  return new GatewayError('invalid_value', {
    message: `The request body is nested more than ${maxDepth} levels deep.`,
  });
}

function needsBody({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.schema?.body !== undefined;
}

function charsetOf({ headers }: FastifyRequest): string | undefined {
  return /;\s*charset\s*=\s*"?([\w.:-]+)/i.exec(headers['content-type'] ?? '')?.[1];
}

function noBody(): GatewayError {
  return new GatewayError('invalid_json', {
    message: 'The request body is empty: it must be a JSON object.',
  });
}

function noText(): GatewayError {
  return new GatewayError('invalid_json', { message: 'The request body is not valid UTF-8.' });
}

/** Says where the error is, if the parser does; its own message quotes the request. */
function invalidJson(text: string, error: unknown): GatewayError {
  const { message } = error as Error;
  const position = /at position (\d+)/.exec(message)?.[1];
  const where =
    position !== undefined
      ? `: the error is at ${placeOf(text, Number(position))}`
      : message.includes('end of JSON')
        ? `: it ends at ${placeOf(text, text.length)}`
        : '';
  return new GatewayError('invalid_json', {
    message: `The request body is not valid JSON${where}.`,
    cause: error,
  });
}

function placeOf(text: string, position: number): string {
  const before = text.slice(0, position);
  const line = before.split('\n').length;
  return `line ${line}, column ${position - before.lastIndexOf('\n')}`;
}

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
