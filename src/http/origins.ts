/** Which pages may call the server. */

/**
 * The origins whose pages may call the server: `https://host[:port]`, `app://host`, `null`. `*` alone allows every page;
 * within an origin it stands for a scheme, for a host or a part of it, or for any port, also none:
 * `chrome-extension://*`, `https://*.example.com`, `http://localhost:*`. An empty list allows no page.
 */
export type CorsOrigins = readonly string[];

/** Longer than any browser sends. */
const maxOriginLength = 2048;

export function allowsEveryOrigin(origins: CorsOrigins): boolean {
  return origins.includes('*');
}

/** Compares whole origins: a part of an origin is another origin. */
export function isAllowedOrigin(origin: string | undefined, origins: CorsOrigins): boolean {
  if (origin === undefined || origin.length > maxOriginLength) return false;
  return origins.some(
    (allowed) => allowed === '*' || allowed === origin || patternOf(allowed)?.test(origin) === true,
  );
}

const patterns = new Map<string, RegExp>();

/** The regular expression of an origin with `*`; undefined for an origin without. */
function patternOf(allowed: string): RegExp | undefined {
  if (!allowed.includes('*')) return undefined;
  const pattern = patterns.get(allowed) ?? toPattern(allowed);
  patterns.set(allowed, pattern);
  return pattern;
}

function toPattern(allowed: string): RegExp {
  const {
    scheme = '',
    host = '',
    port,
  } = /^(?<scheme>[^:]*):\/\/(?<host>.*?)(:(?<port>\d+|\*))?$/.exec(allowed)?.groups ?? {};
  const suffix = port === '*' ? '(:\\d+)?' : port === undefined ? '' : `:${port}`;
  return new RegExp(
    `^${withStars(scheme, '[a-z.+-]+')}://${withStars(host, '[\\w.-]+')}${suffix}$`,
  );
}

function withStars(text: string, meaning: string): string {
  const parts = text.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return parts.join(meaning);
}
