import type { FastifyReply, FastifyRequest } from 'fastify';
import { unlimitedMeter } from '../../access/limits/token-meter.ts';
import { noRecorder } from '../../access/usage/usage-recorder.ts';
import type { Admission } from '../../admission/admission.ts';
import type { Drain } from '../../admission/drain.ts';
import type { GeneratingEngine } from '../../engine/engine.ts';
import type { ParsedRequest } from '../fields/generation-fields.ts';
import type { ModelChoice } from '../fields/served-model.ts';
import type { CompletionEvent } from './choice.ts';
import {
  type CompletionContext,
  type CompletionJob,
  type CompletionTotals,
  runCompletion,
} from './completion.ts';
import { abortOnDisconnect, ClientGone } from './disconnect.ts';
import { fairShareKeyOf, priorityOf } from './fair-share.ts';
import { type ReplyFramer, startStream } from './reply-stream.ts';
import { streamHeaders } from './sse.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** Milliseconds a completion may take, its stream included; 0 is without limit. */
    readonly generationTimeoutMs: number;
  }
}

/** What the endpoints that generate text need from the gateway. */
export interface GenerationDeps extends ModelChoice {
  readonly drain: Drain;
  readonly admission: Admission;
  /** Of this program. */
  readonly version: string;
}

/** Builds the reply to a request that does not stream. */
export interface ReplyCollector {
  add(choice: number, event: CompletionEvent): void;
  build(totals: CompletionTotals): object;
}

/** The form of reply that a request asks for. */
export type ReplyForm =
  | { readonly stream: false; readonly collector: ReplyCollector }
  | { readonly stream: true; readonly framer: ReplyFramer };

/**
 * Generates what a request asks for and replies with it, whole or as a stream. Ends when the client leaves.
 * @returns the return value of a route handler
 * @throws failures before the first frame; later failures become the last frame
 */
export async function replyWithCompletion(
  request: FastifyRequest,
  reply: FastifyReply,
  { engine, drain, admission }: GenerationDeps & { readonly engine: GeneratingEngine },
  parsed: GenerationRequest,
  form: ReplyForm,
): Promise<object> {
  const job = jobOf(request, parsed);
  const controller = abortOnDisconnect(request, reply);
  const context = contextOf(request, { engine, drain, admission }, parsed, controller);
  try {
    if (form.stream) {
      const stream = await startStream(job, context, form.framer);
      return reply.headers(streamHeaders).type('text/event-stream').send(stream);
    }
    const { collector } = form;
    const totals = await runCompletion(job, context, (choice, event) => {
      collector.add(choice, event);
      return undefined;
    });
    return collector.build(totals);
  } catch (error) {
    if (!(error instanceof ClientGone)) throw error;
    request.log.debug('client left');
    return reply.hijack();
  }
}

/** What a request asks to generate. */
export type GenerationRequest = ParsedRequest &
  Pick<CompletionJob, 'prompts' | 'onPrepared' | 'onEnd'>;

/** The job of a request, whose prefixes are shared within its scope. */
export function jobOf(
  { caller }: FastifyRequest,
  { prompts, choiceCount, onPrepared, onEnd, tokenTexts, cacheSalt, options }: GenerationRequest,
): CompletionJob {
  const cacheScope = cacheScopeOf(caller?.cacheScope, cacheSalt);
  return {
    ...{ prompts, choiceCount, tokenTexts },
    options: { ...options, ...(cacheScope !== undefined && { cacheScope }) },
    ...(onPrepared && { onPrepared }),
    ...(onEnd && { onEnd }),
  };
}

/** What a request's job runs with. */
export function contextOf(
  request: FastifyRequest,
  deps: Pick<CompletionContext, 'engine' | 'drain' | 'admission'>,
  { priority }: Pick<ParsedRequest, 'priority'>,
  controller: AbortController,
): CompletionContext {
  const { caller, log, trace, meter = unlimitedMeter, recorder = noRecorder } = request;
  const { engine, drain, admission } = deps;
  return {
    engine,
    drain,
    admission,
    fairShareKey: fairShareKeyOf(request),
    priority: priorityOf(caller, priority),
    controller,
    timeoutMs: request.server.generationTimeoutMs,
    trace,
    meter,
    recorder,
    log,
  };
}

/** A scope of its own for each salt within a key's scope; no key id contains a line break. */
function cacheScopeOf(scope: string | undefined, salt: string | undefined): string | undefined {
  return salt === undefined ? scope : `${scope ?? ''}\n${salt}`;
}
