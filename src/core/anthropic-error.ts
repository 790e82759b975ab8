/** Errors in the form of Anthropic's API, which its paths have from the first check of a key on. */
import type { GatewayError } from './errors.ts';

/** Anthropic's error body. */
export interface AnthropicErrorBody {
  readonly type: 'error';
  readonly error: { readonly type: string; readonly message: string };
  readonly request_id: string;
}

const typeOfStatus: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

/** True for the paths of Anthropic's API, and for those below them that no route has. */
export function isAnthropicPath(path: string): boolean {
  return /^\/v1\/messages(?=[/?]|$)/.test(path);
}

/** Anthropic has a status of its own for a server whose queue is full. */
export function anthropicStatusOf({ code, status }: GatewayError): number {
  return code === 'queue_full' || code === 'queue_timeout' ? 529 : status;
}

export function toAnthropicError(error: GatewayError, requestId: string): AnthropicErrorBody {
  const status = anthropicStatusOf(error);
  const fallback = status < 500 ? 'invalid_request_error' : 'api_error';
  return {
    type: 'error',
    error: { type: typeOfStatus[status] ?? fallback, message: messageOf(error) },
    request_id: requestId,
  };
}

/** Agents recognise Anthropic's sentence about a prompt that is too long, and shorten the conversation. */
function messageOf({ message, overflow }: GatewayError): string {
  if (overflow === undefined) return message;
  const { tokenCount, contextLength } = overflow;
  return `prompt is too long: ${tokenCount} tokens > ${contextLength} maximum`;
}
