import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { GatewayError } from '../../core/errors.ts';
import type { RouteDoc } from '../../core/route-doc.ts';
import type { Metrics, MetricsFormat } from '../../observe/metrics/metrics.ts';
import { toGatewayMetrics } from './metrics-shapes.ts';

/** What the route needs. */
export interface MetricsRouteDeps {
  readonly metrics: Metrics;
  /** Include the metrics of single API keys: only where the route itself requires a key. */
  readonly showsKeys: boolean;
}

const contentTypes: Readonly<Record<MetricsFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/**
 * `/metrics`, any method: Prometheus text, or the Python gateway's JSON where `Accept` or `?format=` asks for JSON.
 * Answers in a hook, before a request's body is parsed.
 */
export const metricsRoute: FastifyPluginAsyncTypebox<MetricsRouteDeps> = async (
  app,
  { metrics, showsKeys },
) => {
  app.all(
    '/metrics',
    {
      config: { access: showsKeys ? 'key' : 'open', doc },
      onRequest: async (request, reply) => {
        const format = formatOf(request);
        if (format === 'json') {
          const body = { gateway: toGatewayMetrics(metrics.counts) };
          return reply.type('application/json').send(JSON.stringify(body, null, 2));
        }
        const text = await metrics.render(format, { withKeys: showsKeys });
        return reply.header('content-type', contentTypes[format]).send(text);
      },
    },
    async () => {
      throw new Error('answered in onRequest');
    },
  );
};

const doc: RouteDoc = {
  operationId: 'getMetrics',
  tag: 'Server',
  summary: 'Get the metrics of the server; any method',
  description:
    'Prometheus text, unless `Accept` names only `application/openmetrics-text` or `application/json` of the media types below.',
  queryParameters: {
    format: {
      description: 'The format of the reply; it wins over `Accept`.',
      values: ['prometheus', 'openmetrics', 'json'],
    },
  },
  reply: {
    mediaType: 'text/plain',
    otherMediaTypes: ['application/openmetrics-text', 'application/json'],
    description: 'The metrics in the requested format.',
  },
  errors: ['invalid_value'],
};

/**
 * Scrapers of routers send no `Accept`, or any type; they read Prometheus text. Prometheus itself accepts both text
 * formats and prefers OpenMetrics; it gets the older one, in which counters keep the names that existing dashboards use.
 */
function formatOf(request: FastifyRequest): MetricsFormat | 'json' {
  const { format } = request.query as { readonly format?: unknown };
  switch (format) {
    case 'prometheus':
    case 'openmetrics':
    case 'json':
      return format;
    case undefined:
      break;
    default:
      throw new GatewayError('invalid_value', {
        param: 'format',
        message: '`format` must be one of `prometheus`, `openmetrics`, `json`.',
      });
  }
  const accept = request.headers.accept?.toLowerCase() ?? '';
  if (accept.includes('text/plain')) return 'prometheus';
  if (accept.includes('application/openmetrics-text')) return 'openmetrics';
  return accept.includes('application/json') ? 'json' : 'prometheus';
}
