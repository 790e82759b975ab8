import { GatewayError } from '../../core/errors.ts';
import type { ChatMessage } from '../../engine/chat.ts';
import { CallHistory } from '../chat/chat-calls.ts';
import { toChatMessage } from '../chat/chat-messages.ts';
import type { RequestMessage } from '../chat/chat-shapes.ts';
import { missing, unsupported } from '../fields/request-errors.ts';
import type { RequestProblems } from '../fields/request-problems.ts';
import type { MessageRequest, RequestBlock, RequestTurn } from './message-shapes.ts';
import { thinkingIn } from './thinking-signature.ts';

/** Claude Code begins its system prompt with a stamp of each request, which would cost the whole cached prefix. */
const stamp = /^x-anthropic-billing-header:[^\n]*\n*/;

/** Blocks of tools that Anthropic's servers run; another server's history has them, and no model here knows them. */
const serverBlock = /^((?:server|mcp)_tool_use|.+_tool_result|container_upload|compaction)$/;

/** A message of a chat, and where it stands in the body. */
interface PlacedMessage {
  readonly message: RequestMessage;
  readonly path: string;
}

/**
 * The messages of a chat that a conversation is: a turn with results of tools becomes several.
 * @param problems - receives what is wrong with a block, with its path, such as `messages[2].content[0]`
 */
export function readTurns(
  { messages, system }: Pick<MessageRequest, 'messages' | 'system'>,
  problems: RequestProblems,
): ChatMessage[] {
  const history = new CallHistory();
  const prompt = problems.read(['system'], '', () => systemText(system));
  const placed = messages.flatMap((turn, index) =>
    problems.attempt([], () => messagesOf(turn, `messages[${index}]`)),
  );
  if (problems.concerns('messages')) return [];
  const read = placed.map(({ message, path }) => toChatMessage(message, path, history));
  const system_ = prompt === '' ? [] : [{ role: 'system' as const, content: prompt }];
  return [...system_, ...history.inCallOrder(read)];
}

function systemText(system: MessageRequest['system']): string {
  if (system == null) return '';
  const texts = typeof system === 'string' ? [system] : blockTexts(system, 'system');
  return texts
    .map((text) => text.replace(stamp, ''))
    .filter((text) => text !== '')
    .join('\n');
}

function messagesOf({ role, content }: RequestTurn, path: string): PlacedMessage[] {
  const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
  const at = `${path}.content`;
  if (role === 'assistant') return [{ message: assistantMessage(blocks, at), path }];
  if (role === 'system') {
    return [{ message: { role, content: blockTexts(blocks, at).join('\n') }, path }];
  }
  return userMessages(blocks, at);
}

function assistantMessage(blocks: readonly RequestBlock[], path: string): RequestMessage {
  const texts: string[] = [];
  const thoughts: string[] = [];
  const calls: { id: string; type: 'function'; function: { name: string; arguments: unknown } }[] =
    [];
  for (const [index, block] of blocks.entries()) {
    const at = `${path}[${index}]`;
    switch (block.type) {
      case 'thinking':
        thoughts.push(block.thinking || (thinkingIn(block.signature) ?? ''));
        break;
      case 'redacted_thinking':
        break;
      case 'tool_use':
        if (block.name == null) throw missing(`${at}.name`);
        calls.push({
          id: block.id ?? '',
          type: 'function',
          function: { name: block.name, arguments: block.input },
        });
        break;
      default:
        texts.push(...textsOf(block, at));
    }
  }
  const reasoning = thoughts.filter((thought) => thought !== '').join('\n');
  return {
    role: 'assistant',
    content: texts.join('\n'),
    ...(reasoning !== '' && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

/** Each result of a tool is a message of its own, and so is the text between them. */
function userMessages(blocks: readonly RequestBlock[], path: string): PlacedMessage[] {
  const messages: PlacedMessage[] = [];
  let texts: string[] = [];
  const endText = () => {
    if (texts.length === 0) return;
    messages.push({ message: { role: 'user', content: texts.join('\n') }, path });
    texts = [];
  };
  for (const [index, block] of blocks.entries()) {
    const at = `${path}[${index}]`;
    if (block.type !== 'tool_result') {
      texts.push(...textsOf(block, at));
      continue;
    }
    endText();
    messages.push({ message: resultMessage(block, at), path: at });
  }
  endText();
  // An empty turn is still a turn.
  if (messages.length === 0) messages.push({ message: { role: 'user', content: '' }, path });
  return messages;
}

function resultMessage(block: RequestBlock, path: string): RequestMessage {
  const text = contentText(block.content, `${path}.content`);
  return {
    role: 'tool',
    // No template has a place for the mark of a failure.
    content: block.is_error === true ? `Error: ${text}` : text,
    tool_call_id: block.tool_use_id ?? '',
  };
}

/** The text of a content that stands within a block. */
function contentText(content: unknown, path: string): string {
  if (content == null) return '';
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) {
    throw new GatewayError('invalid_value', {
      param: path,
      message: `\`${path}\` must be a string or an array.`,
    });
  }
  return blockTexts(content as readonly RequestBlock[], path).join('\n');
}

function blockTexts(blocks: readonly RequestBlock[], path: string): string[] {
  return blocks.flatMap((block, index) => textsOf(block, `${path}[${index}]`));
}

/** What a block shows to the model; nothing for what only another server can use. */
function textsOf(block: RequestBlock, path: string): string[] {
  if (typeof block !== 'object' || block === null || typeof block.type !== 'string') {
    throw new GatewayError('invalid_value', {
      param: path,
      message: `\`${path}\` must be an object with a \`type\`.`,
    });
  }
  switch (block.type) {
    case 'text':
      if (typeof block.text !== 'string') throw missing(`${path}.text`);
      return [block.text];
    case 'document':
      return [documentText(block, path)];
    case 'search_result':
      return [
        titled(
          [block.title, stringOf(block.source)],
          contentText(block.content, `${path}.content`),
        ),
      ];
    case 'tool_reference':
      return [block.tool_name ?? ''];
    case 'browser_state':
      return [JSON.stringify(block)];
    default:
      if (serverBlock.test(block.type) && block.type !== 'tool_result') return [];
      if (/^(image|audio|video)$/.test(block.type)) {
        throw unsupported(path, `this model reads only text, received \`${block.type}\``);
      }
      throw new GatewayError('invalid_value', {
        param: `${path}.type`,
        message: `\`${path}.type\` has no place here, received ${JSON.stringify(block.type.slice(0, 100))}.`,
      });
  }
}

function documentText({ source, title, context }: RequestBlock, path: string): string {
  const { type, data, content } = (source ?? {}) as { [key: string]: unknown };
  if (type === 'text' && typeof data === 'string') return titled([title, context], data);
  if (type === 'content') {
    return titled([title, context], contentText(content, `${path}.source.content`));
  }
  throw unsupported(`${path}.source`, 'only documents of text are');
}

function titled(titles: readonly (string | null | undefined)[], text: string): string {
  return [...titles, text].filter((part) => part != null && part !== '').join('\n');
}

function stringOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
