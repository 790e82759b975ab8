import type { GatewayError } from '../../core/errors.ts';
import type { TokenUsage } from '../../engine/generator.ts';
import type { TextModel } from '../fields/served-model.ts';
import type { ChoiceEnd, CompletionEvent } from '../generation/choice.ts';
import type { CompletionTotals } from '../generation/completion.ts';
import type { ReplyCollector } from '../generation/reply.ts';
import type { ReplyFramer } from '../generation/reply-stream.ts';
import { namedFrame, pingFrame } from '../generation/sse.ts';
import { newResponseId } from './response-ids.ts';
import { ResponseItems } from './response-items.ts';
import type {
  ResponseObject,
  ResponseStreamEvent,
  ResponseUsage,
  UnnumberedEvent,
} from './response-object.ts';
import type { ParsedResponse } from './response-request.ts';
import type { ResponseTool } from './response-shapes.ts';

/**
 * A response that has not begun: all that the request says about it.
 * @param isStored - it is kept for later requests
 */
export function newResponse(
  parsed: ParsedResponse,
  { card, engine }: TextModel,
  isStored: boolean,
): ResponseObject {
  const { body, options } = parsed;
  const { reasoning, text } = body;
  const sampling = engine.generator.describeSampling(options.sampling);
  const number = (name: string, fallback: number) =>
    typeof sampling[name] === 'number' ? sampling[name] : fallback;
  return {
    id: newResponseId(),
    object: 'response',
    created_at: nowInSeconds(),
    completed_at: null,
    status: 'in_progress',
    incomplete_details: null,
    model: card.id,
    previous_response_id: body.previous_response_id ?? null,
    instructions: body.instructions ?? null,
    output: [],
    error: null,
    tools: (body.tools ?? []).map(repeated),
    tool_choice: body.tool_choice ?? 'auto',
    truncation: body.truncation ?? 'disabled',
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    text: {
      format: text?.format ?? { type: 'text' },
      ...(text?.verbosity != null && { verbosity: text.verbosity }),
    },
    top_p: number('top_p', 1),
    presence_penalty: number('presence_penalty', 0),
    frequency_penalty: number('frequency_penalty', 0),
    top_logprobs: body.top_logprobs ?? 0,
    temperature: number('temperature', 1),
    reasoning: { effort: reasoning?.effort ?? null, summary: reasoning?.summary ?? null },
    user: body.user ?? null,
    usage: null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: body.max_tool_calls ?? null,
    store: isStored,
    background: body.background ?? false,
    service_tier: parsed.serviceTier ?? 'default',
    metadata: body.metadata ?? {},
    safety_identifier: body.safety_identifier ?? null,
    prompt_cache_key: body.prompt_cache_key ?? null,
  };
}

/** Functions of a response have fields that those of a request may leave out. */
function repeated(tool: ResponseTool): ResponseTool {
  if (tool.type !== 'function') return tool;
  return { ...tool, parameters: tool.parameters ?? null, strict: tool.strict ?? false };
}

/** A response on its way: its items, and how it ends. */
export class ResponseDraft {
  readonly items: ResponseItems;
  #begun: ResponseObject;
  #end: ChoiceEnd | undefined;
  #ended: ResponseObject | undefined;

  constructor(begun: ResponseObject, parsed: ParsedResponse) {
    const { callable, withLogprobs, sealsReasoning, extras } = parsed;
    this.items = new ResponseItems({
      ...{ responseId: begun.id, callable, withLogprobs, sealsReasoning },
      tokenForm: extras.tokenForm,
    });
    this.#begun = begun;
  }

  /** @returns the events that an event of the engine means */
  of(event: CompletionEvent): UnnumberedEvent[] {
    switch (event.type) {
      case 'choice-begin':
      case 'prompt-delta':
      case 'prompt-progress':
        return [];
      case 'choice-end':
        this.#end = event;
        return this.items.close(event.finishReason === 'length' ? 'incomplete' : 'completed');
      default:
        return this.items.of(event);
    }
  }

  /** The response as it is now. */
  snapshot(): ResponseObject {
    return { ...this.#begun, output: [...this.items.items] };
  }

  /** The whole response; the same for every call. */
  ended(usage: TokenUsage): ResponseObject {
    const isCut = this.#end?.finishReason === 'length';
    this.#ended ??= {
      ...this.snapshot(),
      status: isCut ? 'incomplete' : 'completed',
      completed_at: isCut ? null : nowInSeconds(),
      incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
      usage: toResponseUsage(usage),
    };
    return this.#ended;
  }

  /** The response could not be kept, and says so. */
  notStored(): void {
    this.#begun = { ...this.#begun, store: false };
    if (this.#ended !== undefined) this.#ended = { ...this.#ended, store: false };
  }

  /** Ends the item that is open, because nothing more will come. */
  cut(): UnnumberedEvent[] {
    return this.items.close('incomplete');
  }

  /** The response as it is when it was cancelled. */
  cancelled(): ResponseObject {
    return { ...this.snapshot(), status: 'cancelled' };
  }

  failed(error: GatewayError): ResponseObject {
    const { code, message } = error.toBody().error;
    return {
      ...this.snapshot(),
      status: 'failed',
      error: { code: knownCodes.has(code ?? '') ? (code ?? '') : 'server_error', message },
    };
  }
}

/** Codes of failures that clients act on; every other failure is the server's. */
const knownCodes: ReadonlySet<string> = new Set([
  'context_length_exceeded',
  'insufficient_quota',
  'rate_limit_exceeded',
]);

/** The reply to a request that does not stream. */
export class ResponseReply implements ReplyCollector {
  readonly #draft: ResponseDraft;

  constructor(draft: ResponseDraft) {
    this.#draft = draft;
  }

  add(_choice: number, event: CompletionEvent): void {
    this.#draft.of(event);
  }

  build({ usage }: CompletionTotals): ResponseObject {
    return this.#draft.ended(usage);
  }
}

/** The numbered events of a response. */
export class ResponseEvents {
  readonly #draft: ResponseDraft;
  /** Number of the next event. */
  #sequence = 0;
  /** The response waits for its turn. */
  #isQueued = false;

  constructor(draft: ResponseDraft) {
    this.#draft = draft;
  }

  opening(): ResponseStreamEvent[] {
    const response = this.#draft.snapshot();
    return this.#numbered([
      { type: 'response.created', response },
      { type: 'response.in_progress', response },
    ]);
  }

  /** Instead of {@link opening}: the response is in progress with its first event. */
  queued(): ResponseStreamEvent[] {
    this.#isQueued = true;
    const response: ResponseObject = { ...this.#draft.snapshot(), status: 'queued' };
    return this.#numbered([
      { type: 'response.created', response },
      { type: 'response.queued', response },
    ]);
  }

  of(event: CompletionEvent): ResponseStreamEvent[] {
    const begun: UnnumberedEvent[] = this.#isQueued
      ? [{ type: 'response.in_progress', response: this.#draft.snapshot() }]
      : [];
    this.#isQueued = false;
    return this.#numbered([...begun, ...this.#draft.of(event)]);
  }

  end({ usage }: CompletionTotals): ResponseStreamEvent[] {
    const response = this.#draft.ended(usage);
    const type = response.status === 'incomplete' ? 'response.incomplete' : 'response.completed';
    return this.#numbered([{ type, response }]);
  }

  failure(error: GatewayError): ResponseStreamEvent[] {
    const cut = this.#draft.cut();
    return this.#numbered([
      ...cut,
      { type: 'response.failed', response: this.#draft.failed(error) },
    ]);
  }

  /** A cancelled response has no event of its own. */
  cancellation(): ResponseStreamEvent[] {
    return this.#numbered(this.#draft.cut());
  }

  #numbered(events: readonly UnnumberedEvent[]): ResponseStreamEvent[] {
    return events.map((event) => ({ ...event, sequence_number: this.#sequence++ }));
  }
}

/** The frames of events. */
export function framesOf(events: readonly ResponseStreamEvent[]): string {
  return events.map((event) => namedFrame(event.type, event)).join('');
}

/** The frames of a stream. */
export class ResponseFrames implements ReplyFramer {
  readonly ping = pingFrame;
  readonly #events: ResponseEvents;
  /** The first frames, until an event follows them. */
  #opening: string;

  constructor(draft: ResponseDraft) {
    this.#events = new ResponseEvents(draft);
    this.#opening = framesOf(this.#events.opening());
  }

  opening(): string {
    return this.#opening;
  }

  of(_choice: number, event: CompletionEvent): string {
    this.#opening = '';
    return framesOf(this.#events.of(event));
  }

  end(totals: CompletionTotals): string {
    return framesOf(this.#events.end(totals));
  }

  /** Codex reads why a response has failed from the response, and from nothing else. */
  failure(error: GatewayError): string {
    return this.#opening + framesOf(this.#events.failure(error));
  }
}

function toResponseUsage(usage: TokenUsage): ResponseUsage {
  return {
    input_tokens: usage.promptTokenCount,
    input_tokens_details: { cached_tokens: usage.cachedTokenCount, cache_write_tokens: 0 },
    output_tokens: usage.completionTokenCount,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokenCount },
    total_tokens: usage.promptTokenCount + usage.completionTokenCount,
  };
}

function nowInSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
