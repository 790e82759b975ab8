import { GatewayError } from '../core/errors.ts';

/** Token counts that limit a completion. */
export interface CompletionBounds {
  /** The request field of the prompt. */
  readonly promptField: 'messages' | 'prompt';
  readonly promptTokenCount: number;
  /** The limit in the request; undefined without one. */
  readonly requestedTokenCount: number | undefined;
  /** The operator's default for requests without a limit. */
  readonly defaultTokenCount: number;
  /** Maximum tokens of a request, prompt and completion together. */
  readonly contextLength: number;
}

/**
 * Maximum tokens of a completion, at least 1. A request without a limit gets the default or the remaining context,
 * whichever is less. A limit that does not fit is refused, never clamped.
 * The message satisfies the overflow patterns that agents and SDKs look for.
 * @throws {GatewayError} `context_length_exceeded`
 */
export function completionLimit(bounds: CompletionBounds): number {
  const { promptField, promptTokenCount, requestedTokenCount, defaultTokenCount, contextLength } =
    bounds;
  const room = contextLength - promptTokenCount;
  const wanted = requestedTokenCount ?? Math.max(1, Math.min(defaultTokenCount, room));
  if (wanted > room) {
    throw new GatewayError('context_length_exceeded', {
      param: promptField,
      message:
        `This model's maximum context length is ${contextLength} tokens. However, you requested ` +
        `${promptTokenCount + wanted} tokens (${promptTokenCount} in the ${promptField}, ${wanted} in the ` +
        `completion). Please reduce the length of the ${promptField} or completion.`,
    });
  }
  return wanted;
}
