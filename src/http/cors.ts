/** Lets pages of other origins read replies. */
import fastifyCors from '@fastify/cors';
import fp from 'fastify-plugin';

/** The origins whose pages may call the server; `*` allows every page, an empty list none. */
export type CorsOrigins = readonly string[];

/** Longer than any browser sends. */
const maxOriginLength = 2048;

const allowedHeaders = [
  ...['Authorization', 'Content-Type', 'X-Api-Key', 'X-Request-Id'],
  // Headers that the official clients add in a browser.
  ...['OpenAI-Organization', 'OpenAI-Project', 'OpenAI-Beta', 'Idempotency-Key'],
  ...['Anthropic-Version', 'Anthropic-Beta', 'Anthropic-Dangerous-Direct-Browser-Access'],
  ...stainless('Arch', 'Custom-Poll-Interval', 'Helper-Method', 'Lang', 'OS', 'Package-Version'),
  ...stainless('Poll-Helper', 'Retry-Count', 'Runtime', 'Runtime-Version', 'Timeout'),
];

/** Headers of a reply that a page may read. */
const exposedHeaders = [
  ...['Retry-After', 'X-Request-Id', 'X-Should-Retry', 'WWW-Authenticate'],
  ...['requests', 'tokens'].flatMap((kind) =>
    ['limit', 'remaining', 'reset'].map((part) => `X-RateLimit-${part}-${kind}`),
  ),
];

export interface CorsOptions {
  readonly origins: CorsOrigins;
}

/** Registered before the hooks that refuse, so that pages can read refusals; `preflight.ts` answers the preflight. */
export const cors = fp<CorsOptions>(async (app, { origins }) => {
  if (origins.length === 0) return;
  await app.register(fastifyCors, {
    origin: origins.includes('*')
      ? '*'
      : (origin, callback) => callback(null, isAllowed(origin, origins)),
    methods: ['GET', 'POST', 'OPTIONS'],
    allowedHeaders,
    exposedHeaders,
    maxAge: 86_400,
    preflightContinue: true,
    strictPreflight: false,
  });
});

/** The same headers for replies that are written without hooks. */
export function corsHeaders(origins: CorsOrigins, origin: string | undefined): [string, string][] {
  if (origins.length === 0) return [];
  if (origins.includes('*')) return [['Access-Control-Allow-Origin', '*']];
  const allowed = origin !== undefined && isAllowed(origin, origins);
  return [
    ['Vary', 'Origin'],
    ...(allowed ? [['Access-Control-Allow-Origin', origin] as [string, string]] : []),
  ];
}

function stainless(...names: readonly string[]): string[] {
  return names.map((name) => `X-Stainless-${name}`);
}

/** Compares whole origins: a part of an origin is another origin. */
function isAllowed(origin: string | undefined, origins: CorsOrigins): boolean {
  return origin !== undefined && origin.length <= maxOriginLength && origins.includes(origin);
}
