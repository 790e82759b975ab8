import type { FastifyReply, FastifyRequest } from 'fastify';
import { unlimitedMeter } from '../../access/limits/token-meter.ts';
import { noRecorder } from '../../access/usage/usage-recorder.ts';
import type { Admission, Permit, QueueEntry } from '../../admission/admission.ts';
import type { Drain } from '../../admission/drain.ts';
import { GatewayError } from '../../core/errors.ts';
import { InputError, type PreparedInputs } from '../../engine/embedder.ts';
import type { ModelChoice } from '../fields/served-model.ts';
import { Deadline } from '../generation/deadline.ts';
import { abortOnDisconnect, ClientGone } from '../generation/disconnect.ts';
import { fairShareKeyOf, priorityOf } from '../generation/fair-share.ts';

/** What the endpoints that compute inputs need from their surroundings. */
export interface InputDeps extends ModelChoice {
  readonly drain: Drain;
  /** Of requests that compute inputs: they take no slot from those that generate. */
  readonly inputAdmission: Admission;
}

/** Requests that compute inputs at the same time: enough to fill batches. */
export const inputSlotCount = 32;

/**
 * Answers with what `work` makes once it is let in, registered with the drain until then. Ends with the
 * client, and when it takes too long.
 * @param work - its signal aborts with the client's leaving, the drain's deadline or the request's own
 * @returns what a route handler returns
 */
export async function answerWithInputs<T>(
  request: FastifyRequest,
  reply: FastifyReply,
  { drain, inputAdmission }: InputDeps,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | FastifyReply> {
  const controller = abortOnDisconnect(request, reply);
  const { signal } = controller;
  const leave = drain.enter(controller);
  const deadline = new Deadline({ timeoutMs: request.server.generationTimeoutMs, controller });
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
    leave();
  }
}

/**
 * Computes inputs, counts their tokens against the key of the request and records them: those that were
 * computed.
 */
export async function metered<T>(
  { meter = unlimitedMeter, recorder = noRecorder, trace }: FastifyRequest,
  { tokenCounts }: PreparedInputs,
  compute: () => Promise<T>,
): Promise<T> {
  const promptTokenCount = tokenCounts.reduce((sum, count) => sum + count, 0);
  await meter.reserve({ promptTokenCount, completionTokenCount: 0 });
  trace.inputTokenCount = promptTokenCount;
  let spent = 0;
  let failed = true;
  try {
    const result = await compute();
    spent = promptTokenCount;
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

/**
 * Prepares inputs and checks how long they are.
 * @param options.pathOf - where an input stands in the body
 * @throws {GatewayError} `invalid_value` or `context_length_exceeded`, with the path of the input
 */
export async function prepared(
  preparing: Promise<PreparedInputs>,
  options: { readonly contextLength: number; readonly pathOf: (index: number) => string },
): Promise<PreparedInputs> {
  const { contextLength, pathOf } = options;
  let inputs: PreparedInputs;
  try {
    inputs = await preparing;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const param = pathOf(error.index);
    throw new GatewayError('invalid_value', {
      param,
      message: `\`${param}\` could not be made into tokens: ${error.message}.`,
      cause: error,
    });
  }
  const index = inputs.tokenCounts.findIndex((count) => count > contextLength);
  if (index === -1) return inputs;
  const param = pathOf(index);
  throw new GatewayError('context_length_exceeded', {
    param,
    message: `\`${param}\` has ${inputs.tokenCounts[index]} tokens, this model takes at most ${contextLength} at once.`,
  });
}
