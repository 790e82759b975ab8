import type { ReplyDelta } from '../../engine/generator.ts';
import type { TokenLogprob } from '../../engine/logprobs.ts';
import type { TokenForm } from '../fields/reply-extras.ts';
import { toChatLogprobs } from '../generation/logprobs.ts';
import { sealText } from '../generation/sealed-text.ts';
import { JsonInputReader } from './json-input.ts';
import { outputItemId } from './response-ids.ts';
import type {
  CustomCallItem,
  FunctionCallItem,
  ItemEvent,
  LogProb,
  MessageItem,
  OutputItem,
  ReasoningItem,
} from './response-object.ts';
import type { CallableTools } from './response-tools.ts';

/** What the items of a response show. */
export interface ItemForm {
  readonly responseId: string;
  readonly callable: CallableTools;
  readonly withLogprobs: boolean;
  readonly tokenForm: TokenForm;
  readonly sealsReasoning: boolean;
}

/** An item that is being written. */
type OpenItem =
  | { readonly kind: 'message'; readonly index: number; readonly item: MessageItem }
  | { readonly kind: 'reasoning'; readonly index: number; readonly item: ReasoningItem }
  | { readonly kind: 'function'; readonly index: number; readonly item: FunctionCallItem }
  | {
      readonly kind: 'custom';
      readonly index: number;
      readonly item: CustomCallItem;
      readonly reader: JsonInputReader;
    };

/** Makes the pieces of a reply into items and their events: an item ends where another kind of piece begins. */
export class ResponseItems {
  readonly #form: ItemForm;
  readonly #items: OutputItem[] = [];
  #open: OpenItem | undefined;

  constructor(form: ItemForm) {
    this.#form = form;
  }

  /** All items so far, the one that is open included. */
  get items(): readonly OutputItem[] {
    return this.#items;
  }

  of(delta: ReplyDelta): ItemEvent[] {
    switch (delta.type) {
      case 'text-delta':
        return this.#addText(delta.text, delta.tokens ?? []);
      case 'reasoning-delta':
        return this.#addReasoning(delta.text);
      case 'tool-call':
        return [...this.close(), this.#startCall(delta.id, delta.name)];
      case 'tool-call-delta':
        return this.#addArguments(delta.arguments);
      default:
        return delta satisfies never;
    }
  }

  /**
   * Ends the item that is open.
   * @param status - `incomplete` where the reply was cut within it
   */
  close(status: 'completed' | 'incomplete' = 'completed'): ItemEvent[] {
    const open = this.#open;
    if (open === undefined) return [];
    this.#open = undefined;
    open.item.status = status;
    return [
      ...this.#closing(open),
      { type: 'response.output_item.done', output_index: open.index, item: open.item },
    ];
  }

  #closing(open: OpenItem): ItemEvent[] {
    const place = { item_id: open.item.id, output_index: open.index };
    switch (open.kind) {
      case 'message': {
        const [part] = open.item.content;
        if (part === undefined) return [];
        const { text, logprobs } = part;
        const at = { ...place, content_index: 0 };
        return [
          { type: 'response.output_text.done', ...at, text, logprobs },
          { type: 'response.content_part.done', ...at, part },
        ];
      }
      case 'reasoning': {
        const [part] = open.item.content;
        if (part === undefined) return [];
        if (this.#form.sealsReasoning) open.item.encrypted_content = sealText(part.text);
        const at = { ...place, content_index: 0 };
        return [
          { type: 'response.reasoning_text.done', ...at, text: part.text },
          { type: 'response.content_part.done', ...at, part },
        ];
      }
      case 'function': {
        const { name, arguments: text } = open.item;
        return [{ type: 'response.function_call_arguments.done', ...place, name, arguments: text }];
      }
      case 'custom':
        return [{ type: 'response.custom_tool_call_input.done', ...place, input: open.item.input }];
    }
  }

  #addText(text: string, tokens: readonly TokenLogprob[]): ItemEvent[] {
    const started = this.#open?.kind === 'message' ? [] : this.#startMessage();
    const open = this.#open;
    if (open?.kind !== 'message') return started;
    const [part] = open.item.content;
    const logprobs = this.#logprobs(tokens);
    if (part !== undefined) {
      part.text += text;
      part.logprobs.push(...logprobs);
    }
    const place = { item_id: open.item.id, output_index: open.index, content_index: 0 };
    return [...started, { type: 'response.output_text.delta', ...place, delta: text, logprobs }];
  }

  #addReasoning(text: string): ItemEvent[] {
    const started = this.#open?.kind === 'reasoning' ? [] : this.#startReasoning();
    const open = this.#open;
    if (open?.kind !== 'reasoning') return started;
    const [part] = open.item.content;
    if (part !== undefined) part.text += text;
    const place = { item_id: open.item.id, output_index: open.index, content_index: 0 };
    return [...started, { type: 'response.reasoning_text.delta', ...place, delta: text }];
  }

  #addArguments(json: string): ItemEvent[] {
    const open = this.#open;
    if (open?.kind === 'function') {
      open.item.arguments += json;
      const place = { item_id: open.item.id, output_index: open.index };
      return [{ type: 'response.function_call_arguments.delta', ...place, delta: json }];
    }
    if (open?.kind !== 'custom') return [];
    const text = open.reader.add(json);
    if (text === '') return [];
    open.item.input += text;
    const place = { item_id: open.item.id, output_index: open.index };
    return [{ type: 'response.custom_tool_call_input.delta', ...place, delta: text }];
  }

  #startMessage(): ItemEvent[] {
    const closed = this.close();
    const item: MessageItem = {
      ...{ type: 'message', id: this.#newId('msg'), role: 'assistant', status: 'in_progress' },
      content: [],
    };
    const open: OpenItem = { kind: 'message', index: this.#push(item), item };
    return [...closed, ...this.#begin(open, { ...emptyText, annotations: [], logprobs: [] })];
  }

  #startReasoning(): ItemEvent[] {
    const closed = this.close();
    const item: ReasoningItem = {
      ...{ type: 'reasoning', id: this.#newId('rs'), summary: [], content: [] },
      encrypted_content: null,
      status: 'in_progress',
    };
    const open: OpenItem = { kind: 'reasoning', index: this.#push(item), item };
    return [...closed, ...this.#begin(open, { type: 'reasoning_text', text: '' })];
  }

  /** The events of an item and of its only part, of which each has a copy: the part goes on. */
  #begin(
    open: Extract<OpenItem, { kind: 'message' | 'reasoning' }>,
    part: MessageItem['content'][number] | ReasoningItem['content'][number],
  ): ItemEvent[] {
    this.#open = open;
    const { index, item } = open;
    const added = structuredClone(item);
    (item.content as (typeof part)[]).push(part);
    return [
      { type: 'response.output_item.added', output_index: index, item: added },
      {
        type: 'response.content_part.added',
        ...{ item_id: item.id, output_index: index, content_index: 0 },
        part: structuredClone(part),
      },
    ];
  }

  #startCall(callId: string, called: string): ItemEvent {
    const tool = this.#form.callable.get(called) ?? { kind: 'function', name: called };
    const { name, namespace } = tool;
    const fields = {
      call_id: callId,
      name,
      ...(namespace !== undefined && { namespace }),
      status: 'in_progress' as const,
    };
    if (tool.kind === 'custom') {
      const item: CustomCallItem = {
        ...{ type: 'custom_tool_call', id: this.#newId('ctc'), ...fields },
        input: '',
      };
      const reader = new JsonInputReader();
      this.#open = { kind: 'custom', index: this.#push(item), item, reader };
    } else {
      const item: FunctionCallItem = {
        ...{ type: 'function_call', id: this.#newId('fc'), ...fields },
        arguments: '',
      };
      this.#open = { kind: 'function', index: this.#push(item), item };
    }
    const { index, item } = this.#open;
    return { type: 'response.output_item.added', output_index: index, item: structuredClone(item) };
  }

  /** Of the item that is pushed next. */
  #newId(prefix: string): string {
    return outputItemId(prefix, this.#form.responseId, this.#items.length);
  }

  /** @returns the index of the item */
  #push(item: OutputItem): number {
    return this.#items.push(item) - 1;
  }

  #logprobs(tokens: readonly TokenLogprob[]): LogProb[] {
    if (!this.#form.withLogprobs || tokens.length === 0) return [];
    return toChatLogprobs(tokens, this.#form.tokenForm).content;
  }
}

const emptyText = { type: 'output_text', text: '' } as const;
