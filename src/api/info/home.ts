/** `GET /`: what a person meets who opens the server's address. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { RouteDoc } from '../../core/route-doc.ts';
import type { ModelRegistry } from '../../model/registry.ts';
import type { Readiness } from './health.ts';

/** What the route needs. */
export interface HomeDeps {
  readonly models: ModelRegistry;
  readonly readiness: () => Readiness;
  /** Of this program. */
  readonly version: string;
  /** Name the model: only where no key is needed, because a key may not be allowed to know it. */
  readonly showsModel: boolean;
}

/** The page needs no script, no style and nothing from elsewhere. */
const contentSecurityPolicy =
  "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** A few lines of text: as a page for browsers, else plain. */
export const home: FastifyPluginAsyncTypebox<HomeDeps> = async (app, deps) => {
  app.get('/', { config: { access: 'open', doc } }, async (request, reply) => {
    const lines = linesOf(deps);
    reply.header('vary', 'Accept');
    if (!(request.headers.accept ?? '').includes('text/html')) {
      const text = lines.map(({ name, value }) => `${name}: ${value}\n`).join('');
      return reply.type('text/plain; charset=utf-8').send(`llama-gguf-inference\n\n${text}`);
    }
    reply.header('content-security-policy', contentSecurityPolicy);
    return reply.type('text/html; charset=utf-8').send(pageOf(lines));
  });
};

interface Line {
  readonly name: string;
  readonly value: string;
  /** A path of this server. */
  readonly isPath?: boolean;
}

function linesOf({ models, readiness, version, showsModel }: HomeDeps): Line[] {
  const { current } = models;
  return [
    { name: 'version', value: version },
    ...(showsModel && current !== undefined ? [{ name: 'model', value: current.card.id }] : []),
    { name: 'state', value: readiness().state },
    { name: 'API', value: '/v1' },
    { name: 'documentation', value: '/docs', isPath: true },
  ];
}

function pageOf(lines: readonly Line[]): string {
  const rows = lines.map(({ name, value, isPath }) => {
    const text = escaped(value);
    return `<dt>${name}</dt><dd>${isPath === true ? `<a href="${text}">${text}</a>` : text}</dd>`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>llama-gguf-inference</title>
</head>
<body>
<h1>llama-gguf-inference</h1>
<dl>
${rows.join('\n')}
</dl>
</body>
</html>
`;
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

const doc: RouteDoc = {
  operationId: 'getHome',
  tag: 'Server',
  summary: 'Get the name, version and state of the server',
  reply: {
    mediaType: 'text/plain',
    otherMediaTypes: ['text/html'],
    description: 'A few lines; a page if `Accept` names `text/html`.',
  },
};
