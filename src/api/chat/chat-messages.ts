import { GatewayError } from '../../core/errors.ts';
import type { ChatMessage, ToolCall } from '../../engine/chat.ts';
import { missing, unsupported } from '../fields/request-errors.ts';
import type { ContentPart, RequestMessage, RequestToolCall } from './chat-shapes.ts';

/** Content parts of models with other modalities. */
const otherMedia: ReadonlySet<string> = new Set(['image_url', 'input_audio', 'file', 'refusal']);

/** Refused fields of an assistant message, which would have to reach the prompt. */
const unsupportedFields = { function_call: 'send `tool_calls`', audio: 'leave it out' } as const;

/**
 * Validates and normalises the messages of a body that fits the schema; the engine takes them as they are.
 * @throws {GatewayError} with the path of what is wrong, such as `messages[2].content`
 */
export function readMessages(messages: readonly RequestMessage[]): ChatMessage[] {
  const toolNames = new Map<string, string>();
  return messages.map((message, index) => {
    const chatMessage = toChatMessage(message, `messages[${index}]`, toolNames);
    for (const { id, function: call } of chatMessage.tool_calls ?? []) toolNames.set(id, call.name);
    return chatMessage;
  });
}

/** @param toolNames - by the ids of the calls so far: some templates show the tool of a result */
function toChatMessage(
  message: RequestMessage,
  path: string,
  toolNames: ReadonlyMap<string, string>,
): ChatMessage {
  for (const [field, advice] of Object.entries(unsupportedFields)) {
    if (message[field as keyof typeof unsupportedFields] != null) {
      throw unsupported(`${path}.${field}`, advice);
    }
  }
  const { role, tool_calls: calls, tool_call_id: callId } = message;
  if (role !== 'assistant' && calls != null && calls.length > 0) {
    throw new GatewayError('invalid_value', {
      param: `${path}.tool_calls`,
      message: `\`${path}.tool_calls\` may only be sent in a message of the role \`assistant\`.`,
    });
  }
  if (role === 'tool' && callId == null) throw missing(`${path}.tool_call_id`);
  const content = toText(message, `${path}.content`);
  const name = message.name ?? (role === 'tool' ? toolNames.get(callId ?? '') : undefined);
  const reasoning = message.reasoning_content ?? message.reasoning;
  return {
    role,
    content,
    ...(reasoning != null && { reasoning_content: reasoning }),
    ...(calls != null && calls.length > 0 && { tool_calls: readToolCalls(calls, path) }),
    ...(callId != null && { tool_call_id: callId }),
    ...(name !== undefined && { name }),
  };
}

function readToolCalls(calls: readonly RequestToolCall[], path: string): ToolCall[] {
  return calls.map(({ id, function: call }, index) => {
    // Some clients send an empty text for a call without arguments.
    const text = call.arguments.trim() || '{}';
    if (!isJsonObject(text)) {
      const param = `${path}.tool_calls[${index}].function.arguments`;
      throw new GatewayError('invalid_value', {
        param,
        message: `\`${param}\` must be a JSON object as text.`,
      });
    }
    return { id, type: 'function', function: { name: call.name, arguments: text } };
  });
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** Text parts are joined by line breaks, as in llama.cpp and vLLM. */
function toText({ role, content }: RequestMessage, path: string): string {
  if (typeof content === 'string') return content;
  if (content != null) {
    return content.map((part, index) => toPartText(part, `${path}[${index}]`)).join('\n');
  }
  // An assistant message of the client's history may have no text.
  if (role === 'assistant') return '';
  if (content === undefined) throw missing(path);
  throw new GatewayError('invalid_value', {
    param: path,
    message: `\`${path}\` must be a string or an array of text parts, received null.`,
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
  if (text === undefined) throw missing(`${path}.text`);
  return text;
}
