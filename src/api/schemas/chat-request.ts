import type { ChatMessage, GenerateRequest, SamplingParams } from '../../engine/engine.ts';
import { GatewayError } from '../../errors.ts';
import type { ChatCompletionRequest, ContentPart, RequestMessage } from './chat-completions.ts';
import { refuseUnsupported } from './unsupported-parameters.ts';

/** A chat request in the engine's words. */
export interface ChatRequest {
  /** The id asked for; undefined when the request leaves the choice to the server. */
  readonly model: string | undefined;
  readonly messages: readonly ChatMessage[];
  readonly options: Omit<GenerateRequest, 'prompt'>;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

/** Content parts that other models take. */
const otherMedia: ReadonlySet<string> = new Set(['image_url', 'input_audio', 'file', 'refusal']);

/** Fields of an assistant message that would have to reach the prompt. */
const unsupportedMessageFields = ['tool_calls', 'function_call', 'audio'] as const;

/**
 * Reads a body that fits the schema, and applies the rules a schema cannot say.
 * @throws {GatewayError} `unsupported_parameter`, `invalid_value`, `missing_required_parameter`
 */
export function readChatRequest(body: ChatCompletionRequest): ChatRequest {
  refuseUnsupported(body);
  const stream = body.stream ?? false;
  if (body.stream_options != null && !stream) {
    throw new GatewayError('invalid_value', {
      param: 'stream_options',
      message: '`stream_options` may only be sent together with `stream: true`.',
    });
  }
  return {
    model: body.model ?? undefined,
    messages: body.messages.map(toChatMessage),
    options: toOptions(body),
    stream,
    includeUsage: body.stream_options?.include_usage ?? false,
  };
}

function toOptions(body: ChatCompletionRequest): ChatRequest['options'] {
  const maxTokens = body.max_completion_tokens ?? body.max_tokens;
  return {
    ...(maxTokens != null && { maxTokens }),
    ...(body.stop != null && { stop: [body.stop].flat() }),
    sampling: toSampling(body),
  };
}

function toSampling(body: ChatCompletionRequest): SamplingParams {
  return {
    ...(body.temperature != null && { temperature: body.temperature }),
    ...(body.top_p != null && { topP: body.top_p }),
    ...(body.seed != null && { seed: BigInt(body.seed) }),
    ...(body.ignore_eos != null && { ignoreEos: body.ignore_eos }),
  };
}

function toChatMessage(message: RequestMessage, index: number): ChatMessage {
  const path = `messages[${index}]`;
  for (const field of unsupportedMessageFields) {
    const value = message[field];
    const asksNothing = value == null || (Array.isArray(value) && value.length === 0);
    if (!asksNothing) throw unsupported(`${path}.${field}`, 'leave it out');
  }
  return { role: message.role, content: toText(message, `${path}.content`) };
}

/** Text parts are joined by line breaks, as llama.cpp and vLLM join them. */
function toText({ role, content }: RequestMessage, path: string): string {
  if (typeof content === 'string') return content;
  if (content != null) {
    return content.map((part, index) => toPartText(part, `${path}[${index}]`)).join('\n');
  }
  // A message of a client's own history may have had no text.
  if (role === 'assistant') return '';
  throw new GatewayError(content === null ? 'invalid_value' : 'missing_required_parameter', {
    param: path,
    message:
      content === null
        ? `\`${path}\` must be a string or an array of text parts, received null.`
        : `\`${path}\` is required.`,
  });
}

function toPartText({ type, text }: ContentPart, path: string): string {
  if (type !== 'text') {
    if (otherMedia.has(type)) {
      throw unsupported(path, `only parts of type \`text\` are, received \`${type}\``);
    }
    throw new GatewayError('invalid_value', {
      param: `${path}.type`,
      message: `\`${path}.type\` must be \`text\`.`,
    });
  }
  if (text === undefined) {
    throw new GatewayError('missing_required_parameter', {
      param: `${path}.text`,
      message: `\`${path}.text\` is required.`,
    });
  }
  return text;
}

function unsupported(param: string, advice: string): GatewayError {
  return new GatewayError('unsupported_parameter', {
    param,
    message: `\`${param}\` is not supported; ${advice}.`,
  });
}
