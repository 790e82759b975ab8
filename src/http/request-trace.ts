/** Traces every request from its first byte to its last, whatever its outcome. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
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

export interface RequestTraceOptions {
  /** Each gets the record of every request. */
  readonly observers: readonly TraceObserver[];
}

/** Registered before all other hooks, so that refusals of theirs are traced too. */
export const requestTrace = fp<RequestTraceOptions>(async (app, { observers }) => {
  app.decorateRequest('trace');
  app.decorate('traceObservers', observers);
  app.addHook('onRequest', async (request, reply) => beginTrace(request, reply));
  app.addHook('onSend', async (request, _reply, payload) => {
    if (typeof payload === 'string' || Buffer.isBuffer(payload)) {
      request.trace.sentBytes += Buffer.byteLength(payload);
    }
    return payload;
  });
});

/** For a request that fails before a route is chosen, where no hook runs. */
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
    inputMs: trace.inputMs,
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
 * Calls back once the reply is sent, or its connection is closed. Listens on the connection beside the reply: a reply
 * to a pipelined request has no connection, and so no `close`, before the replies in front of it are sent.
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

/** The open replies of a connection, behind one listener for all of them. */
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
