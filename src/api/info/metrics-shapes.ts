import { type Static, Type } from 'typebox';
import type { GatewayCountValues } from '../../observe/metrics/gateway-counts.ts';

/** The Python gateway's metrics; each also exists as the series `gateway_<field>`. */
export const GatewayMetrics = Type.Object({
  requests_total: Type.Integer(),
  requests_success: Type.Integer(),
  requests_error: Type.Integer(),
  requests_active: Type.Integer(),
  requests_authenticated: Type.Integer(),
  requests_unauthorized: Type.Integer(),
  bytes_sent: Type.Integer(),
  queue_depth: Type.Integer(),
  queue_rejections: Type.Integer(),
  queue_wait_seconds_total: Type.Number(),
  uptime_seconds: Type.Integer(),
});
export type GatewayMetrics = Static<typeof GatewayMetrics>;

export function toGatewayMetrics(counts: GatewayCountValues): GatewayMetrics {
  return {
    requests_total: counts.requestsTotal,
    requests_success: counts.requestsSuccess,
    requests_error: counts.requestsError,
    requests_active: counts.requestsActive,
    requests_authenticated: counts.requestsAuthenticated,
    requests_unauthorized: counts.requestsUnauthorized,
    bytes_sent: counts.bytesSent,
    queue_depth: counts.queueDepth,
    queue_rejections: counts.queueRejections,
    queue_wait_seconds_total: counts.queueWaitSecondsTotal,
    uptime_seconds: counts.uptimeSeconds,
  };
}
