import { GatewayError } from '../../core/errors.ts';
import type { ChatMessage } from '../../engine/chat.ts';
import { missing, unsupported } from '../fields/request-errors.ts';
import type { RequestProblems } from '../fields/request-problems.ts';
import { CallHistory } from './chat-calls.ts';
import type { ContentPart, RequestMessage } from './chat-shapes.ts';

/** Types of content parts that are texts. */
const textTypes: ReadonlySet<string> = new Set(['text', 'input_text', 'output_text']);

/** Types of content parts of models with other modalities. */
const otherMedia = /^(input_)?(image|audio|video|file)(_url)?$/;

/**
 * Validates and normalises the messages of a body that fits the schema; the engine takes them as they are. Calls and
 * results may be in any state: a conversation stays answerable after a cut call or a lost result.
 * @param problems - receives what is wrong with a message, with its path, such as `messages[2].content`
 */
export function readMessages(
  messages: readonly RequestMessage[],
  problems: RequestProblems,
): ChatMessage[] {
  const history = new CallHistory();
  const read = messages.flatMap((message, index) =>
    problems.attempt([], () => [toChatMessage(message, `messages[${index}]`, history)]),
  );
  return problems.concerns('messages') ? [] : history.inCallOrder(read);
}

/** @param path - of the message in the body, for errors */
export function toChatMessage(
  message: RequestMessage,
  path: string,
  history: CallHistory,
): ChatMessage {
  if (message.audio != null) throw unsupported(`${path}.audio`, 'leave it out');
  const { role, name, tool_call_id: callId } = message;
  checkCalls(message, path);
  const content = toText(message, `${path}.content`);
  if (role === 'tool' || role === 'function') {
    const call = history.answer(message);
    const tool = name ?? call?.name;
    const id = call?.id ?? callId;
    const result: ChatMessage = {
      role: 'tool',
      content,
      ...(id != null && id !== '' && { tool_call_id: id }),
      // Some templates show the tool of a result.
      ...(tool !== undefined && { name: tool }),
    };
    if (call !== undefined) history.note(result, call);
    return result;
  }
  const calls = history.addCalls(message, path);
  const reasoning = message.reasoning_content ?? message.reasoning ?? thoughtsOf(message);
  return {
    role,
    content,
    ...(reasoning != null && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
    ...(name != null && { name }),
  };
}

function checkCalls({ role, ...message }: RequestMessage, path: string): void {
  if (role === 'assistant') return;
  for (const field of ['tool_calls', 'function_call'] as const) {
    const value = message[field];
    if (value == null || (Array.isArray(value) && value.length === 0)) continue;
    throw new GatewayError('invalid_value', {
      param: `${path}.${field}`,
      message: `\`${path}.${field}\` may only be sent in a message of the role \`assistant\`.`,
    });
  }
}

/**
 * The text of a message's content. Text parts are joined by line breaks, as in llama.cpp and vLLM.
 * @throws {GatewayError} `unsupported_parameter`, `invalid_value`, `missing_required_parameter`
 */
export function toText(
  { role, content, refusal }: Pick<RequestMessage, 'role' | 'content' | 'refusal'>,
  path: string,
): string {
  const text =
    typeof content === 'string'
      ? content
      : (content ?? [])
          .flatMap((part, index) =>
            role === 'assistant' && isThought(part) ? [] : [toPartText(part, `${path}[${index}]`)],
          )
          .join('\n');
  // A client may leave out what the assistant or a tool did not say.
  const mayBeAbsent = role === 'assistant' || role === 'tool' || role === 'function';
  if (content === undefined && !mayBeAbsent) throw missing(path);
  return text === '' && role === 'assistant' ? (refusal ?? '') : text;
}

/** Mistral's and Anthropic's part of an assistant's content. */
function isThought(part: string | ContentPart): part is ContentPart {
  return typeof part === 'object' && part.type === 'thinking';
}

/** The reasoning that stands within the content; undefined without any. */
function thoughtsOf({ role, content }: RequestMessage): string | undefined {
  if (role !== 'assistant' || !Array.isArray(content)) return undefined;
  const thoughts = content.filter(isThought).map(({ thinking }) => thinking);
  const texts = thoughts.flatMap((thought) =>
    typeof thought === 'string' ? [thought] : (thought ?? []).map(({ text }) => text ?? ''),
  );
  return texts.length === 0 ? undefined : texts.join('\n');
}

function toPartText(part: string | ContentPart, path: string): string {
  if (typeof part === 'string') return part;
  if (part.type === 'refusal') {
    if (part.refusal === undefined) throw missing(`${path}.refusal`);
    return part.refusal ?? '';
  }
  if (otherMedia.test(part.type)) {
    throw unsupported(path, `only parts of text are, received \`${part.type}\``);
  }
  if (!textTypes.has(part.type)) {
    throw new GatewayError('invalid_value', {
      param: `${path}.type`,
      message: `\`${path}.type\` must be \`text\`, received ${JSON.stringify(part.type).slice(0, 100)}.`,
    });
  }
  if (part.text === undefined) throw missing(`${path}.text`);
  return part.text ?? '';
}
