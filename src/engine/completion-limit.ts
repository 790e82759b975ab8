import { contextLengthExceeded } from '../core/context-overflow.ts';
import type { PreparedPrompt } from './generator.ts';

/** Token counts that limit a completion. */
export interface CompletionBounds {
  /** The request field of the prompt. */
  readonly promptField: PreparedPrompt['field'];
  readonly promptTokenCount: number;
  /** The limit in the request; undefined without one. */
  readonly requestedTokenCount: number | undefined;
  /** The operator's default for requests without a limit. */
  readonly defaultTokenCount: number;
  /** Maximum tokens of a request, prompt and completion together. */
  readonly contextLength: number;
}

/**
 * Maximum tokens of a completion: the limit in the request, else the default, and never more than the prompt leaves of
 * the context. 0 only where the request asks for no completion.
 * @throws {GatewayError} `context_length_exceeded` for a prompt that leaves no room for a token that the request may have
 */
export function completionLimit(bounds: CompletionBounds): number {
  const { promptField, promptTokenCount, requestedTokenCount, defaultTokenCount, contextLength } =
    bounds;
  const room = contextLength - promptTokenCount;
  const wanted = requestedTokenCount ?? defaultTokenCount;
  if (room < Math.min(1, wanted)) {
    throw contextLengthExceeded(promptField, { tokenCount: promptTokenCount, contextLength });
  }
  return Math.min(wanted, room);
}
