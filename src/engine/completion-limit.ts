import { GatewayError } from '../core/errors.ts';

/** Token numbers that decide how long a completion may become. */
export interface CompletionBounds {
  /** The field of the request that holds the prompt. */
  readonly promptField: 'messages' | 'prompt';
  readonly promptTokenCount: number;
  /** What the request asked for; undefined when it named nothing. */
  readonly requestedTokenCount: number | undefined;
  /** The operator's default for requests that name nothing. */
  readonly defaultTokenCount: number;
  /** Tokens a request may use in all. */
  readonly contextLength: number;
}

/**
 * How many tokens a completion may have, at least 1. A request that names no limit gets the default or
 * the room that is left, whichever is less; one that names more than fits is refused, never clamped.
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
