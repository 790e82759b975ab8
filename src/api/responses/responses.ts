import { Readable } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { GatewayError } from '../../core/errors.ts';
import { bodyErrors, completionErrors, modelErrors, type RouteDoc } from '../../core/route-doc.ts';
import { InputTokens } from '../chat/chat-shapes.ts';
import type { CompletionTotals } from '../generation/completion.ts';
import { preparePrompt } from '../generation/prompt.ts';
import { contextOf, type GenerationDeps, jobOf, replyWithCompletion } from '../generation/reply.ts';
import { streamHeaders } from '../generation/sse.ts';
import { BackgroundRuns } from './background-runs.ts';
import { keptContext } from './kept-context.ts';
import { ItemList, keptItems, type PageQuery, pageOf } from './kept-items.ts';
import { ResponseObject, ResponseStreamEvent } from './response-object.ts';
import {
  framesOf,
  newResponse,
  ResponseDraft,
  ResponseFrames,
  ResponseReply,
} from './response-reply.ts';
import { readResponse } from './response-request.ts';
import { ResponseRequest } from './response-shapes.ts';
import type { ResponseStore, StoredResponse } from './response-store.ts';

export interface ResponsesDeps extends GenerationDeps {
  /** Undefined: nothing is kept. */
  readonly store: ResponseStore | undefined;
}

/** OpenAI's Responses API. */
export const responses: FastifyPluginAsyncTypebox<ResponsesDeps> = async (app, deps) => {
  const { store } = deps;
  const runs = store && new BackgroundRuns(store);
  app.addHook('onClose', async () => runs?.finish());
  const maxBytes = app.initialConfig.bodyLimit ?? Number.POSITIVE_INFINITY;
  const contextFor = async (request: FastifyRequest<{ Body: ResponseRequest }>) =>
    store && keptContext(request.body, store, { keyId: keyIdOf(request), maxBytes });
  const route = { schema: { body: ResponseRequest }, attachValidation: true };

  app.post('/v1/responses', { ...route, config: { doc: responseDoc } }, async (request, reply) => {
    const keyId = keyIdOf(request);
    const kept = await contextFor(request);
    const { parsed, model } = await readResponse(request, deps, kept);
    const isStored = kept !== undefined && parsed.body.store !== false;
    const response = newResponse(parsed, model, isStored);
    const draft = new ResponseDraft(response, parsed);
    const input = isStored ? keptItems(parsed.body, kept, response.id) : [];
    const { stream } = parsed;
    const { engine } = model;
    if (runs !== undefined && parsed.body.background === true) {
      const controller = new AbortController();
      const run = runs.start({
        ...{ keyId, draft, input, keepsEvents: stream },
        job: jobOf(request, parsed),
        context: contextOf(request, { ...deps, engine }, parsed, controller),
      });
      request.outlived = run.ended;
      await run.queued.catch((cause: unknown) => {
        const message = 'The response could not be kept, and nobody could get it without that.';
        throw new GatewayError('internal_error', { message, cause });
      });
      return stream ? sendFrames(reply, run.frames(-1)) : run.response;
    }
    const keep = async ({ usage }: CompletionTotals) => {
      try {
        await store?.put(keyId, { response: draft.ended(usage), input });
      } catch (error) {
        // The client has its answer: only a later request will miss it.
        request.log.error({ err: error }, 'response not kept');
        draft.notStored();
      }
    };
    const generation = { ...parsed, ...(isStored && { onEnd: keep }) };
    const served = { ...deps, engine };
    if (!stream) {
      const collector = new ResponseReply(draft);
      return replyWithCompletion(request, reply, served, generation, { stream, collector });
    }
    const framer = new ResponseFrames(draft);
    try {
      return await replyWithCompletion(request, reply, served, generation, { stream, framer });
    } catch (error) {
      // From a stream agents learn that they have to shorten the conversation; Codex does from nothing else.
      if (!(error instanceof GatewayError) || error.code !== 'context_length_exceeded') throw error;
      request.trace.failure ??= error.code;
      return sendFrames(reply, [framer.failure(error)]);
    }
  });

  app.post(
    '/v1/responses/input_tokens',
    { ...route, config: { doc: countDoc } },
    async (request): Promise<InputTokens> => {
      const kept = await contextFor(request);
      const { parsed, model } = await readResponse(request, deps, kept);
      const [chat] = parsed.prompts;
      const { tokenCount } = await preparePrompt(model.engine, chat);
      return { object: 'response.input_tokens', input_tokens: tokenCount };
    },
  );

  app.get('/v1/responses/:id', { config: { doc: getDoc } }, async (request, reply) => {
    const { stream, starting_after: after } = request.query as Record<string, unknown>;
    const run = runs?.get(keyIdOf(request), idOf(request));
    const isStream = stream === 'true';
    const begin = isStream ? readBegin(after) : -1;
    if (run !== undefined && !isStream) return run.response;
    if (run?.keepsEvents) return sendFrames(reply, run.frames(begin));
    const { response } = await storedOf(request, store);
    if (!isStream) return endedOf(response);
    const events = await store?.events(keyIdOf(request), response.id);
    if (events === undefined) throw noEvents();
    if (events.length === 0) return sendFrames(reply, [failedFrame(endedOf(response))]);
    const later = events.filter(({ sequence_number: number }) => number > begin);
    return sendFrames(reply, [framesOf(later)]);
  });

  app.post(
    '/v1/responses/:id/cancel',
    { config: { doc: cancelDoc, takesPlace: false } },
    async (request): Promise<ResponseObject> => {
      const run = runs?.get(keyIdOf(request), idOf(request));
      if (run !== undefined) return run.cancel();
      const { response } = await storedOf(request, store);
      if (response.background) return endedOf(response);
      throw new GatewayError('bad_request', {
        message: 'Only a response that was created with `background: true` can be cancelled.',
      });
    },
  );

  app.get(
    '/v1/responses/:id/input_items',
    { config: { doc: itemsDoc } },
    async (request): Promise<ItemList> => {
      const { input } = await storedOf(request, store);
      return pageOf(input, request.query as PageQuery);
    },
  );

  app.delete(
    '/v1/responses/:id',
    { config: { doc: deleteDoc } },
    async (request): Promise<DeletedResponse> => {
      const id = idOf(request);
      // Its end would be kept again.
      await runs?.get(keyIdOf(request), id)?.cancel();
      if (!(await store?.delete(keyIdOf(request), id))) throw notFound(id);
      return { id, object: 'response', deleted: true };
    },
  );
};

/** A stream that no client ends by leaving. */
function sendFrames(
  reply: FastifyReply,
  frames: AsyncIterable<string> | Iterable<string>,
): FastifyReply {
  return reply.headers(streamHeaders).type('text/event-stream').send(Readable.from(frames));
}

/** The number of the last event that a client has seen; -1 for none. */
function readBegin(after: unknown): number {
  if (after === undefined) return -1;
  if (typeof after === 'string' && /^\d{1,9}$/.test(after)) return Number(after);
  throw new GatewayError('invalid_value', {
    param: 'starting_after',
    message: '`starting_after` must be the number of an event.',
  });
}

/** The end of a stream whose events a killed process has taken with it. */
function failedFrame(response: ResponseObject): string {
  return framesOf([{ type: 'response.failed', response, sequence_number: 0 }]);
}

function noEvents(): GatewayError {
  return new GatewayError('bad_request', {
    message:
      'Only a response that was created with `background: true` and `stream: true` can be streamed again.',
  });
}

/** A response that ran when its process ended has failed. */
function endedOf(response: ResponseObject): ResponseObject {
  if (response.status !== 'queued' && response.status !== 'in_progress') return response;
  const message = 'The server was stopped before the response was complete.';
  return { ...response, status: 'failed', error: { code: 'server_error', message } };
}

/** Responses belong to a key; without authentication all have the same owner. */
function keyIdOf({ caller }: FastifyRequest): string {
  return caller?.keyId ?? '';
}

function idOf({ params }: FastifyRequest): string {
  return (params as { readonly id: string }).id;
}

/** @throws {GatewayError} `response_not_found`, also for another key's response */
async function storedOf(
  request: FastifyRequest,
  store: ResponseStore | undefined,
): Promise<StoredResponse> {
  const id = idOf(request);
  const stored = await store?.get(keyIdOf(request), id);
  if (stored === undefined) throw notFound(id);
  return stored;
}

function notFound(id: string): GatewayError {
  return new GatewayError('response_not_found', {
    message: `Response with id ${JSON.stringify(id.slice(0, 100))} not found.`,
  });
}

const DeletedResponse = Type.Object({
  id: Type.String(),
  object: Type.Literal('response'),
  deleted: Type.Literal(true),
});
type DeletedResponse = { id: string; object: 'response'; deleted: true };

const body = {
  name: 'ResponseRequest',
  schema: ResponseRequest,
  example: { model: 'tiny-chat', input: 'Who are you?' },
};
const pathParameter = { name: 'id', description: 'The id of a kept response.' };

const responseDoc: RouteDoc = {
  operationId: 'createResponse',
  tag: 'Completions',
  summary: 'Answer a conversation of items',
  description:
    'A field that would change the response and is not supported is refused; unknown fields are ignored. Responses are kept only with `RESPONSES_STORE`.',
  body,
  reply: { name: 'Response', schema: ResponseObject },
  chunk: { name: 'ResponseStreamEvent', schema: ResponseStreamEvent },
  errors: [...completionErrors, 'previous_response_not_found'],
};

const countDoc: RouteDoc = {
  operationId: 'countResponseTokens',
  tag: 'Tokens',
  summary: 'Count the tokens of a conversation of items',
  body,
  reply: {
    name: 'InputTokens',
    schema: InputTokens,
    example: { object: 'response.input_tokens', input_tokens: 13 },
  },
  errors: [
    ...bodyErrors,
    ...modelErrors,
    'unsupported_parameter',
    'bad_request',
    'model_not_found',
    'previous_response_not_found',
  ],
};

const getDoc: RouteDoc = {
  operationId: 'getResponse',
  tag: 'Completions',
  summary: 'Get a kept response, or the stream of one that runs or ran in the background',
  pathParameter,
  queryParameters: {
    stream: { description: 'The events of a streamed background response.', values: ['true'] },
    starting_after: {
      description: 'The number of the event after which the stream begins.',
      pattern: '^[0-9]{1,9}$',
    },
  },
  chunk: { name: 'ResponseStreamEvent', schema: ResponseStreamEvent },
  reply: { name: 'Response', schema: ResponseObject },
  errors: ['response_not_found', 'bad_request', 'invalid_value'],
};

const cancelDoc: RouteDoc = {
  operationId: 'cancelResponse',
  tag: 'Completions',
  summary: 'Cancel a response that runs in the background',
  pathParameter,
  reply: { name: 'Response', schema: ResponseObject },
  errors: ['response_not_found', 'bad_request'],
};

const itemsDoc: RouteDoc = {
  operationId: 'listResponseInputItems',
  tag: 'Completions',
  summary: 'List the items that a kept response answers',
  pathParameter,
  queryParameters: {
    limit: { description: 'Items of a page, 1 to 100 (20).', pattern: '^[0-9]+$' },
    order: { description: 'Their order (`desc`).', values: ['asc', 'desc'] },
    after: { description: 'The id of the item before the page.' },
  },
  reply: { name: 'ResponseItemList', schema: ItemList },
  errors: ['response_not_found', 'invalid_value'],
};

const deleteDoc: RouteDoc = {
  operationId: 'deleteResponse',
  tag: 'Completions',
  summary: 'Delete a kept response',
  pathParameter,
  reply: { name: 'DeletedResponse', schema: DeletedResponse },
  errors: ['response_not_found'],
};
