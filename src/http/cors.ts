import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

/** Origins whose pages may call the server; `*` among them is every page, none is no page. */
export type CorsOrigins = readonly string[];

/** Longer than any browser sends. */
const longestOrigin = 2048;

const allowedHeaders = [
  ...['Authorization', 'Content-Type', 'X-Api-Key', 'X-Request-Id'],
  // What the official clients add in a browser.
  ...['OpenAI-Organization', 'OpenAI-Project', 'OpenAI-Beta', 'Idempotency-Key'],
  ...['Anthropic-Version', 'Anthropic-Beta', 'Anthropic-Dangerous-Direct-Browser-Access'],
  ...stainless('Arch', 'Custom-Poll-Interval', 'Helper-Method', 'Lang', 'OS', 'Package-Version'),
  ...stainless('Poll-Helper', 'Retry-Count', 'Runtime', 'Runtime-Version', 'Timeout'),
];

/** What a page may read beside the body. */
const exposedHeaders = [
  ...['Retry-After', 'X-Request-Id', 'X-Should-Retry', 'WWW-Authenticate'],
  ...['requests', 'tokens'].flatMap((kind) =>
    ['limit', 'remaining', 'reset'].map((part) => `X-RateLimit-${part}-${kind}`),
  ),
];

/**
 * Lets pages of the origins read replies, refusals too: its hook comes before those that refuse. The
 * preflight itself is answered by `plugins/preflight.ts`.
 */
export function addCors(app: FastifyInstance, origins: CorsOrigins): void {
  if (origins.length === 0) return;
  app.register(cors, {
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
}

/** The same for replies that are written without hooks. */
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

/** Exactly, letter by letter: an origin is not a text to search in. */
function isAllowed(origin: string | undefined, origins: CorsOrigins): boolean {
  return origin !== undefined && origin.length <= longestOrigin && origins.includes(origin);
}
