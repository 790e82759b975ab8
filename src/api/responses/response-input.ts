import { GatewayError } from '../../core/errors.ts';
import type { ChatMessage } from '../../engine/chat.ts';
import { CallHistory } from '../chat/chat-calls.ts';
import { toChatMessage, toText } from '../chat/chat-messages.ts';
import type { RequestMessage, RequestToolCall } from '../chat/chat-shapes.ts';
import { missing } from '../fields/request-errors.ts';
import type { RequestProblems } from '../fields/request-problems.ts';
import { unsealText } from '../generation/sealed-text.ts';
import { itemsOf, type KeptContext } from './kept-context.ts';
import type { InputItem, ResponseRequest } from './response-shapes.ts';
import { flatName } from './response-tools.ts';

/** A message of a chat, and where it stands in the body. */
interface PlacedMessage {
  readonly message: RequestMessage;
  readonly path: string;
}

/**
 * The messages of a chat that the items of a conversation are. What the assistant has said, reasoned and called in a row
 * is one message. Items of tools that OpenAI's servers run are skipped.
 * @param kept - what the request continues
 * @param problems - receives what is wrong with an item, with its path, such as `input[2].content`
 */
export function readInput(
  { input, instructions }: Pick<ResponseRequest, 'input' | 'instructions'>,
  { conversation, referenced }: KeptContext,
  problems: RequestProblems,
): ChatMessage[] {
  const items = itemsOf(input, referenced);
  const turns = new Turns();
  for (const item of conversation)
    problems.attempt(undefined, () => turns.add(item, 'previous_response_id'));
  for (const [index, item] of items.entries()) {
    problems.attempt(undefined, () => turns.add(item, `input[${index}]`));
  }
  if (problems.concerns('input') || problems.concerns('previous_response_id')) return [];
  const history = new CallHistory();
  const read = turns.end().map(({ message, path }) => toChatMessage(message, path, history));
  const system: ChatMessage[] =
    instructions == null || instructions === '' ? [] : [{ role: 'system', content: instructions }];
  return [...system, ...history.inCallOrder(read)];
}

/** What the assistant does before anybody else speaks. */
interface AssistantTurn {
  readonly path: string;
  readonly texts: string[];
  readonly thoughts: string[];
  readonly calls: RequestToolCall[];
}

class Turns {
  readonly #messages: PlacedMessage[] = [];
  #turn: AssistantTurn | undefined;

  /** @throws {GatewayError} for an item that cannot be read */
  add(item: InputItem, path: string): void {
    const type = item.type ?? (item.role == null ? 'item_reference' : 'message');
    switch (type) {
      case 'message':
        this.#addMessage(item, path);
        return;
      case 'reasoning':
        this.#addReasoning(item, path);
        return;
      case 'function_call':
      case 'custom_tool_call':
        this.#assistant(path).calls.push(callOf(item, type, path));
        return;
      case 'function_call_output':
      case 'custom_tool_call_output':
        this.#push({ message: outputMessage(item, path), path });
        return;
      case 'item_reference':
        throw new GatewayError('invalid_value', {
          param: path,
          message: `\`${path}\` refers to an item that this server does not have; send the item itself (in many clients, \`store: false\` does that).`,
        });
      default:
      // Of a tool that the server does not run, or of a client: nothing that the model could use.
    }
  }

  end(): readonly PlacedMessage[] {
    this.#endTurn();
    return this.#messages;
  }

  #addMessage(item: InputItem, path: string): void {
    const role = roleOf(item, path);
    const content = contentOf(item.content, `${path}.content`);
    if (role !== 'assistant') {
      this.#push({ message: { role, content }, path });
      return;
    }
    const turn = this.#turn;
    if (turn !== undefined && turn.calls.length > 0) this.#endTurn();
    this.#assistant(path).texts.push(toText({ role, content }, `${path}.content`));
  }

  #addReasoning(item: InputItem, path: string): void {
    const turn = this.#turn;
    if (turn !== undefined && turn.texts.length + turn.calls.length > 0) this.#endTurn();
    const thought = reasoningOf(item);
    if (thought !== '') this.#assistant(path).thoughts.push(thought);
  }

  #assistant(path: string): AssistantTurn {
    this.#turn ??= { path, texts: [], thoughts: [], calls: [] };
    return this.#turn;
  }

  #push(message: PlacedMessage): void {
    this.#endTurn();
    this.#messages.push(message);
  }

  #endTurn(): void {
    const turn = this.#turn;
    if (turn === undefined) return;
    this.#turn = undefined;
    const { path, texts, thoughts, calls } = turn;
    const message: RequestMessage = {
      role: 'assistant',
      content: texts.join('\n'),
      ...(thoughts.length > 0 && { reasoning_content: thoughts.join('\n') }),
      ...(calls.length > 0 && { tool_calls: calls }),
    };
    this.#messages.push({ message, path });
  }
}

const roles = ['user', 'assistant', 'system', 'developer'] as const;

function roleOf({ role }: InputItem, path: string): (typeof roles)[number] {
  if (role == null) throw missing(`${path}.role`);
  const known = roles.find((each) => each === role);
  if (known !== undefined) return known;
  throw new GatewayError('invalid_value', {
    param: `${path}.role`,
    message: `\`${path}.role\` must be one of ${roles.map((each) => `\`${each}\``).join(', ')}, received ${JSON.stringify(role.slice(0, 40))}.`,
  });
}

/** A content in the form of chats, whose reader checks the parts. */
function contentOf(content: unknown, path: string): NonNullable<RequestMessage['content']> {
  if (typeof content === 'string') return content;
  if (Array.isArray(content)) {
    for (const [index, part] of content.entries()) {
      const isPart =
        typeof part === 'string' || typeof (part as { type?: unknown } | null)?.type === 'string';
      if (!isPart) throw wrongPart(`${path}[${index}]`);
    }
    return content as NonNullable<RequestMessage['content']>;
  }
  if (content == null) throw missing(path);
  throw wrongPart(path);
}

function wrongPart(param: string): GatewayError {
  return new GatewayError('invalid_value', {
    param,
    message: `\`${param}\` must be a text, or parts with a \`type\`.`,
  });
}

function reasoningOf({ content, summary, encrypted_content: sealed }: InputItem): string {
  const texts = [content, summary].map((parts) =>
    (Array.isArray(parts) ? parts : [])
      .map((part) => (part as { text?: unknown } | null)?.text)
      .filter((text) => typeof text === 'string')
      .join('\n'),
  );
  const text = texts.find((each) => each !== '');
  return text ?? (sealed == null ? '' : (unsealText(sealed) ?? ''));
}

function callOf(
  { call_id: id, name, namespace, arguments: text, input }: InputItem,
  type: 'function_call' | 'custom_tool_call',
  path: string,
): RequestToolCall {
  if (name == null) throw missing(`${path}.name`);
  return {
    id: id ?? '',
    type: 'function',
    function: {
      name: flatName(namespace, name),
      arguments: type === 'function_call' ? text : JSON.stringify({ input: input ?? '' }),
    },
  };
}

function outputMessage({ call_id: id, output }: InputItem, path: string): RequestMessage {
  const content =
    output == null || typeof output === 'string' || Array.isArray(output)
      ? contentOf(output ?? '', `${path}.output`)
      : JSON.stringify(output);
  const text = toText({ role: 'tool', content }, `${path}.output`);
  return { role: 'tool', content: text, tool_call_id: id ?? '' };
}
