/**
 * The paths of this server's routes, and the paths that mean one of them: the names of other servers, and base URLs with
 * a prefix too much or too little. One place decides it, so that keys, limits, metrics, logs and the API document know
 * each route by one path.
 */
import type { IncomingMessage } from 'node:http';
import fp from 'fastify-plugin';
import { nearest } from '../core/nearest.ts';

/** The names of other servers for a route of this one, whose fields and reply serve their clients, too. */
const otherNames: Readonly<Record<string, readonly string[]>> = {
  '/ready': ['/health_generate'],
  '/model_info': ['/get_model_info'],
  '/server_info': ['/get_server_info'],
  '/v1/rerank': ['/rerank', '/reranking', '/v1/reranking', '/v2/rerank'],
};

/** Prefixes of base URLs: of OpenAI's API, of proxies in front of it, of Google's and Azure's forms of it. */
const prefix =
  /^\/(?:v1|openai|api(?=\/(?:v1|openai)\/)|v1beta(?=\/openai\/)|(?:deployments|engines)\/[^/]+)(?=\/)/;

/** Endpoints that this server does not have, and the route that serves the same purpose. */
const nearestToForeign: Readonly<Record<string, string>> = {
  '/v1': '/v1/models',
  // Ollama
  '/api/chat': '/v1/chat/completions',
  '/api/generate': '/v1/completions',
  '/api/embed': '/v1/embeddings',
  '/api/embeddings': '/v1/embeddings',
  '/api/tags': '/v1/models',
  '/api/ps': '/v1/models',
  '/api/show': '/props',
  '/api/version': '/health',
  // Text Generation Inference, SGLang, llama-server
  '/generate': '/v1/completions',
  '/generate_stream': '/v1/completions',
  '/embedding': '/v1/embeddings',
  '/pooling': '/v1/embeddings',
  '/info': '/props',
};

/** Longer paths name no route, and paths with more prefixes or segments are not searched: this runs before any limit. */
const maxPathLength = 512;
const maxPrefixCount = 4;
const maxTailSegments = 6;

/** A path and a method of it. */
export interface RouteName {
  readonly method: string;
  readonly path: string;
}

interface KnownRoute {
  readonly path: string;
  /** Undefined for a literal path. */
  readonly pattern: RegExp | undefined;
  readonly methods: Set<string>;
}

/** Knows every registered route. */
export class RoutePaths {
  readonly #routes = new Map<string, KnownRoute>();
  readonly #routeOfName = new Map(
    Object.entries(otherNames).flatMap(([path, names]) => names.map((name) => [name, path])),
  );

  /** @param url - of a route: literal text, parameters (`:id`), and possibly a final `*`. That of every path (`*`, preflights) names none. */
  add(url: string, methods: readonly string[]): void {
    if (url === '*') return;
    const route = this.#routes.get(url) ?? {
      path: url,
      pattern: /[*:]/.test(url) ? patternOf(url) : undefined,
      methods: new Set<string>(),
    };
    for (const method of methods) route.methods.add(method);
    this.#routes.set(url, route);
  }

  /** The methods of a path, sorted; undefined for a path without a route. */
  methodsOf(path: string): readonly string[] | undefined {
    const route = this.#routeOf(withoutTrailingSlash(path));
    return route && [...route.methods].sort();
  }

  /** The URL of the route that `url` means, its query unchanged; `url` itself if it means none. */
  resolve(url: string): string {
    const path = pathOf(url);
    if (this.#routes.has(path) || path.length > maxPathLength) return url;
    const meant = this.#meaning(path);
    // The router itself ignores one trailing slash.
    if (meant === undefined || path === meant || path === `${meant}/`) return url;
    return meant + url.slice(path.length);
  }

  /** The route nearest to a path without a route; one with the same method, if there is one. */
  nearest({ method, path }: RouteName): RouteName | undefined {
    if (path.length > maxPathLength) return undefined;
    const name = withoutTrailingSlash(path);
    const routes = this.#literalRoutes();
    const sameMethod = routes.filter(({ methods }) => methods.has(method));
    const found =
      firstOfTails(name, (tail) => nearestToForeign[tail]) ??
      similarPath(name, sameMethod) ??
      similarPath(name, routes) ??
      firstOfTails(name, (tail) => this.#meaning(tail)) ??
      routes.find((route) => route.path.startsWith(`${name}/`))?.path;
    return found === undefined ? undefined : this.#named(found, method);
  }

  #meaning(path: string): string | undefined {
    let rest = withoutTrailingSlash(path.replace(/\/{2,}/g, '/'));
    for (let count = 0; count <= maxPrefixCount; count++) {
      for (const candidate of [rest, `/v1${rest}`]) {
        if (this.#routeOf(candidate) !== undefined) return candidate;
        const other = this.#routeOfName.get(candidate);
        if (other !== undefined) return other;
      }
      const [before] = prefix.exec(rest) ?? [];
      if (before === undefined) return undefined;
      rest = rest.slice(before.length);
    }
    return undefined;
  }

  #literalRoutes(): KnownRoute[] {
    return [...this.#routes.values()].filter(
      ({ path, pattern }) => pattern === undefined && path !== '/',
    );
  }

  #routeOf(path: string): KnownRoute | undefined {
    const exact = this.#routes.get(path);
    if (exact !== undefined) return exact;
    return [...this.#routes.values()].find(({ pattern }) => pattern?.test(path));
  }

  #named(path: string, method: string): RouteName | undefined {
    const methods = this.methodsOf(path) ?? [];
    const [first] = methods;
    if (first === undefined) return undefined;
    const usual = ['POST', 'GET'].find((each) => methods.includes(each)) ?? first;
    return { path, method: methods.includes(method) ? method : usual };
  }
}

/** The result for the longest end of a path that has one, such as `/chat/completions` of `/llm/chat/completions`. */
function firstOfTails(
  path: string,
  resultOf: (tail: string) => string | undefined,
): string | undefined {
  const segments = path.split('/').filter(Boolean).slice(-maxTailSegments);
  for (let start = 0; start < segments.length; start++) {
    const result = resultOf(`/${segments.slice(start).join('/')}`);
    if (result !== undefined) return result;
  }
  return undefined;
}

/** The path with the fewest other letters. Clients also leave out the prefix. */
function similarPath(path: string, routes: readonly KnownRoute[]): string | undefined {
  const pathOfName = new Map<string, string>();
  for (const { path } of routes) {
    pathOfName.set(path.replace(/^\/v1(?=\/)/, ''), path);
    pathOfName.set(path, path);
  }
  const name = nearest(path, pathOfName.keys());
  return name === undefined ? undefined : pathOfName.get(name);
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly routePaths: RoutePaths;
  }
}

/** Registered before the routes, whose registration it observes. */
export const routePaths = fp<{ readonly paths: RoutePaths }>(async (app, { paths }) => {
  app.decorate('routePaths', paths);
  app.addHook('onRoute', ({ url, method }) => paths.add(url, [method].flat()));

  // Azure names the model in the path, and its clients may leave it out of the body.
  app.addHook('preValidation', async ({ originalUrl, url, body }) => {
    if (originalUrl === url || typeof body !== 'object' || body === null) return;
    const fields = body as { model?: unknown };
    fields.model ??= modelOf(originalUrl);
  });
});

/** Fastify's `rewriteUrl`: leads every path that means a route to it, before a route is chosen. */
export function rewriteUrl(paths: RoutePaths) {
  return ({ url = '/' }: Pick<IncomingMessage, 'url'>): string => paths.resolve(url);
}

/** The other names of a route, for the API document. */
export function otherNamesOf(path: string): readonly string[] {
  return otherNames[path] ?? [];
}

/** The path of a URL, without the query. */
export function pathOf(url: string): string {
  return url.replace(/[?#].*$/s, '');
}

function modelOf(url: string): string | undefined {
  const [, name] = /\/(?:deployments|engines)\/([^/]+)\//.exec(pathOf(url)) ?? [];
  try {
    return name && decodeURIComponent(name);
  } catch {
    return undefined;
  }
}

function withoutTrailingSlash(path: string): string {
  return path.replace(/(?<=.)\/+$/, '');
}

function patternOf(url: string): RegExp {
  const literal = url.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${literal.replace('*', '.+').replace(/:\w+/g, '[^/]+')}$`);
}
