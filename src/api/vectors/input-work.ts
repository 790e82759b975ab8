import type { FastifyReply, FastifyRequest } from 'fastify';
import { unlimitedMeter } from '../../access/limits/token-meter.ts';
import { noRecorder } from '../../access/usage/usage-recorder.ts';
import type { Admission, Permit, QueueEntry } from '../../admission/admission.ts';
import type { Drain } from '../../admission/drain.ts';
import { contextLengthExceeded } from '../../core/context-overflow.ts';
import { GatewayError } from '../../core/errors.ts';
import { InputError, type PreparedInputs } from '../../engine/embedder.ts';
import type { ModelChoice } from '../fields/served-model.ts';
import { Deadline } from '../generation/deadline.ts';
import { abortOnDisconnect, ClientGone } from '../generation/disconnect.ts';
import { fairShareKeyOf, priorityOf } from '../generation/fair-share.ts';

/** What the endpoints that compute inputs need from the gateway. */
export interface InputDeps extends ModelChoice {
  readonly drain: Drain;
  /** A queue of their own: these requests take no slot from requests that generate. */
  readonly inputAdmission: Admission;
}

/** Requests that compute inputs at the same time: enough to fill batches. */
export const inputSlotCount = 32;

/**
 * Replies with the result of `work`, which begins when the request is admitted and is registered with the drain.
 * Ends when the client leaves, and at the deadline.
 * @param work - its signal aborts when the client leaves, at the drain's deadline and at the request's own
 * @returns the return value of a route handler
 */
export async function replyWithInputs<T>(
  request: FastifyRequest,
  reply: FastifyReply,
  { drain, inputAdmission }: InputDeps,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | FastifyReply> {
  const controller = abortOnDisconnect(request, reply);
  const { signal } = controller;
  const leaveDrain = drain.enter(controller);
  const deadline = new Deadline(request.server.generationTimeoutMs, controller);
  let entry: QueueEntry | undefined;
  let permit: Permit | undefined;
  try {
    signal.throwIfAborted();
    const priority = priorityOf(request.caller, 'interactive');
    entry = inputAdmission.join({ fairShareKey: fairShareKeyOf(request), priority, signal });
    permit = await entry.permit(0);
    deadline.start();
    return await work(signal);
  } catch (error) {
    if (!(error instanceof ClientGone)) throw error;
    request.log.info('client left');
    return reply.hijack();
  } finally {
    deadline.clear();
    permit?.end();
    entry?.leave();
    leaveDrain();
  }
}

/** Computes inputs, counts their tokens against the limits of the request's key, and records computed tokens. */
export async function metered<T>(
  { meter = unlimitedMeter, recorder = noRecorder, trace }: FastifyRequest,
  { tokenCounts }: Pick<PreparedInputs, 'tokenCounts'>,
  compute: () => Promise<T>,
): Promise<T> {
  const promptTokenCount = tokenCounts.reduce((sum, count) => sum + count, 0);
  await meter.reserve({ promptTokenCount, completionTokenCount: 0 });
  trace.inputTokenCount = promptTokenCount;
  const beganMs = performance.now();
  let spent = 0;
  let failed = true;
  try {
    const result = await compute();
    spent = promptTokenCount;
    trace.inputMs = performance.now() - beganMs;
    failed = false;
    return result;
  } finally {
    await meter.settle(spent);
    await recorder.record({
      promptTokenCount: spent,
      cachedTokenCount: 0,
      completionTokenCount: 0,
      failed,
    });
  }
}

/** Where the inputs of a request stand in its body, and what fits the model. */
interface InputPlaces {
  readonly contextLength: number;
  /** The path of an input in the body. */
  readonly pathOf: (index: number) => string;
}

/**
 * Awaits prepared inputs and checks their lengths.
 * @throws {GatewayError} `invalid_value` or `context_length_exceeded`, with the path of the input
 */
export async function prepared(
  preparing: Promise<PreparedInputs>,
  places: InputPlaces,
): Promise<PreparedInputs> {
  return requireFit(await computable(preparing, places.pathOf), places);
}

/**
 * Awaits prepared inputs.
 * @throws {GatewayError} `invalid_value` with the path of an input that cannot be tokenized
 */
export async function computable(
  preparing: Promise<PreparedInputs>,
  pathOf: InputPlaces['pathOf'],
): Promise<PreparedInputs> {
  try {
    return await preparing;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const param = pathOf(error.index);
    throw new GatewayError('invalid_value', {
      param,
      message: `\`${param}\` could not be tokenized: ${error.message}.`,
      cause: error,
    });
  }
}

/** @throws {GatewayError} `context_length_exceeded` with the path of an input that is too long */
export function requireFit(
  inputs: PreparedInputs,
  { contextLength, pathOf }: InputPlaces,
): PreparedInputs {
  const index = inputs.tokenCounts.findIndex((count) => count > contextLength);
  if (index === -1) return inputs;
  const tokenCount = inputs.tokenCounts[index] ?? 0;
  throw contextLengthExceeded(pathOf(index), { tokenCount, contextLength });
}
