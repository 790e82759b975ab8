import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import {
  clientClosedStatus,
  type RequestRecord,
  RequestTrace,
  type TraceObserver,
} from '../observe/trace/request-trace.ts';

declare module 'fastify' {
  interface FastifyRequest {
    trace: RequestTrace;
  }
  interface FastifyInstance {
    traceObservers: readonly TraceObserver[];
  }
}

/**
 * Follows every request from its first byte to its last, whatever becomes of it. Comes before all other
 * hooks, so that it sees what they refuse.
 */
export function addRequestTrace(app: FastifyInstance, observers: readonly TraceObserver[]): void {
  app.decorateRequest('trace');
  app.decorate('traceObservers', observers);
  app.addHook('onRequest', async (request, reply) => beginTrace(request, reply));
  app.addHook('onSend', async (request, _reply, payload) => {
    if (typeof payload === 'string' || Buffer.isBuffer(payload)) {
      request.trace.sentBytes += Buffer.byteLength(payload);
    }
    return payload;
  });
}

/** For a request that no hook sees, because it fails before a route is chosen. */
export function beginTrace(request: FastifyRequest, reply: FastifyReply): void {
  const observers = request.server.traceObservers;
  let status = clientClosedStatus;
  const trace = new RequestTrace(() => {
    const record = recordOf(request, status, trace);
    for (const observer of observers) observer.ended(trace, record);
  });
  request.trace = trace;
  for (const observer of observers) observer.began(trace);
  whenOver(request.raw.socket, reply.raw, (isComplete) => {
    if (isComplete) status = reply.raw.statusCode;
    trace.close();
  });
}

function recordOf(request: FastifyRequest, status: number, trace: RequestTrace): RequestRecord {
  return {
    requestId: request.id,
    keyId: request.caller?.keyId,
    client: request.ip,
    method: request.method,
    path: request.url.replace(/[?#].*$/, ''),
    route: request.is404 ? undefined : request.routeOptions.url,
    status,
    failure: trace.failure,
    keyFailure: trace.keyFailure,
    durationMs: trace.durationMs,
    sentBytes: trace.sentBytes,
    generation: trace.generation,
    inputTokenCount: trace.inputTokenCount,
    traceHeaders: traceHeadersOf(request),
  };
}

function traceHeadersOf({ headers }: FastifyRequest): Record<string, string> | undefined {
  const { traceparent, tracestate } = headers;
  if (typeof traceparent !== 'string') return undefined;
  return { traceparent, ...(typeof tracestate === 'string' && { tracestate }) };
}

const openReplies = new WeakMap<Socket, Set<() => void>>();

/**
 * Calls back when the reply is sent, or can no longer be. The connection is watched beside the reply:
 * one that was pipelined has no connection yet, and so no `close`, until its turn comes.
 */
function whenOver(
  socket: Socket,
  response: ServerResponse,
  over: (isComplete: boolean) => void,
): void {
  const replies = repliesOn(socket);
  const settle = (isComplete: boolean) => {
    replies.delete(cut);
    response.off('finish', finish).off('close', cut);
    over(isComplete);
  };
  const finish = () => settle(true);
  const cut = () => settle(false);
  replies.add(cut);
  response.on('finish', finish).on('close', cut);
}

/** One listener for each connection, however many requests it carries. */
function repliesOn(socket: Socket): Set<() => void> {
  const known = openReplies.get(socket);
  if (known !== undefined) return known;
  const replies = new Set<() => void>();
  openReplies.set(socket, replies);
  socket.once('close', () => {
    for (const cut of replies) cut();
  });
  return replies;
}
