import type { ChatMessage, ToolCall } from '../../engine/chat.ts';
import { missing } from '../fields/request-errors.ts';
import type { RequestMessage, RequestToolCall } from './chat-shapes.ts';

/** A call of a conversation, until and after its result. */
interface HistoryCall {
  /** Unique in the conversation. */
  readonly id: string;
  readonly name: string;
  /** The place of the call among all calls of the conversation. */
  readonly position: number;
  isAnswered: boolean;
}

/** Calls in their order, of which the answered ones are skipped. */
class CallQueue {
  readonly #calls: HistoryCall[] = [];
  #next = 0;

  push(call: HistoryCall): void {
    this.#calls.push(call);
  }

  /** The first call without a result. */
  firstOpen(): HistoryCall | undefined {
    while (this.#calls[this.#next]?.isAnswered) this.#next += 1;
    return this.#calls[this.#next];
  }

  last(): HistoryCall | undefined {
    return this.#calls.at(-1);
  }
}

/** The calls of one assistant message. */
class CallTurn {
  readonly #all = new CallQueue();
  readonly #byName = new Map<string, CallQueue>();

  add(call: HistoryCall): void {
    this.#all.push(call);
    queueOf(this.#byName, call.name).push(call);
  }

  /** The first call without a result, of that name if there is one. */
  firstOpen(name: string | undefined): HistoryCall | undefined {
    const named = name === undefined ? undefined : this.#byName.get(name)?.firstOpen();
    return named ?? this.#all.firstOpen();
  }
}

/**
 * The calls and results of a conversation, in whatever state a client keeps them. Every call gets an id that no other
 * call has, and every result the id of its call: the one it names, else the first call without a result in the last
 * message that calls.
 */
export class CallHistory {
  /** By the client's ids: the calls of the last message that has the id. */
  readonly #byClientId = new Map<string, { turn: number; readonly calls: CallQueue }>();
  readonly #ids = new Set<string>();
  #lastTurn = new CallTurn();
  #turnCount = 0;
  #callCount = 0;
  /** The place of the answered call, by the result. */
  readonly #positions = new Map<ChatMessage, number>();

  /**
   * The calls of an assistant message, OpenAI's older `function_call` included.
   * @throws {GatewayError} `missing_required_parameter` for a call that names no function
   */
  addCalls({ tool_calls: calls, function_call: older }: RequestMessage, path: string): ToolCall[] {
    const read = (calls ?? []).map((call, index) => readCall(call, `${path}.tool_calls[${index}]`));
    if (older != null) {
      const call = readCall({ function: older }, path, 'function_call');
      const isRepeated = read.some(
        ({ name, text }) => name === call.name && text.trim() === call.text.trim(),
      );
      if (!isRepeated) read.push(call);
    }
    if (read.length === 0) return [];
    this.#turnCount += 1;
    this.#lastTurn = new CallTurn();
    return read.map(({ clientId, name, text }) => {
      const id = this.#add(clientId, name);
      return { id, type: 'function', function: { name, arguments: text } };
    });
  }

  /** The call that a result answers; undefined for a result without a call. */
  answer({ tool_call_id: clientId, name }: RequestMessage): HistoryCall | undefined {
    const named = this.#byClientId.get(clientId || '')?.calls;
    // A second result of a call keeps its id.
    const call = named?.firstOpen() ?? named?.last() ?? this.#lastTurn.firstOpen(name ?? undefined);
    if (call !== undefined) call.isAnswered = true;
    return call;
  }

  /** Notes which call a message answers, for {@link inCallOrder}. */
  note(result: ChatMessage, call: HistoryCall): void {
    this.#positions.set(result, call.position);
  }

  /** The messages, with adjacent results in the order of their calls: some templates show no ids. */
  inCallOrder(messages: readonly ChatMessage[]): ChatMessage[] {
    const ordered: ChatMessage[] = [];
    let run: ChatMessage[] = [];
    const endRun = () => {
      ordered.push(...run.sort((one, other) => this.#positionOf(one) - this.#positionOf(other)));
      run = [];
    };
    for (const message of messages) {
      if (message.role === 'tool') {
        run.push(message);
        continue;
      }
      endRun();
      ordered.push(message);
    }
    endRun();
    return ordered;
  }

  #nextNumber = 0;

  #positionOf(result: ChatMessage): number {
    return this.#positions.get(result) ?? this.#callCount;
  }

  #add(clientId: string, name: string): string {
    const position = this.#callCount;
    this.#callCount += 1;
    const id = this.#newId(clientId, position);
    const call = { id, name, position, isAnswered: false };
    this.#lastTurn.add(call);
    if (clientId !== '') {
      const known = this.#byClientId.get(clientId);
      if (known?.turn === this.#turnCount) known.calls.push(call);
      else {
        const calls = new CallQueue();
        calls.push(call);
        this.#byClientId.set(clientId, { turn: this.#turnCount, calls });
      }
    }
    return id;
  }

  /** The client's id, or one of nine letters and digits where there is none, or an earlier call has it. */
  #newId(clientId: string, position: number): string {
    let id = clientId;
    // Numbers never go back: clients may have taken many of them.
    this.#nextNumber = Math.max(this.#nextNumber, position);
    while (id === '' || this.#ids.has(id)) {
      id = `call${String(this.#nextNumber).padStart(5, '0')}`;
      this.#nextNumber += 1;
    }
    this.#ids.add(id);
    return id;
  }
}

function queueOf(queues: Map<string, CallQueue>, key: string): CallQueue {
  const known = queues.get(key);
  if (known !== undefined) return known;
  const queue = new CallQueue();
  queues.set(key, queue);
  return queue;
}

interface ReadCall {
  /** Empty where the client sent none. */
  readonly clientId: string;
  readonly name: string;
  /** The arguments as text, JSON or not: a reply may have been cut. */
  readonly text: string;
}

/** @param field - where the function stands in the call */
function readCall(call: RequestToolCall, path: string, field = 'function'): ReadCall {
  const { id, function: called, custom } = call;
  if (called == null && custom != null) {
    return { clientId: id ?? '', name: custom.name, text: custom.input };
  }
  if (called == null) throw missing(`${path}.${field}`);
  return { clientId: id ?? '', name: called.name, text: argumentText(called.arguments) };
}

function argumentText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value ?? {});
  // Some clients send an empty text for a call without arguments.
  return text.trim() === '' ? '{}' : text;
}
