import type { ReplyDelta } from '../../engine/generator.ts';
import type { TokenLogprob } from '../../engine/logprobs.ts';
import type { ReplyExtras, TokenForm } from '../fields/reply-extras.ts';
import type { CompletionEvent, CompletionFinishReason } from '../generation/choice.ts';
import { ChoiceTokens } from '../generation/choice-tokens.ts';
import type { CompletionTotals } from '../generation/completion.ts';
import { toChatLogprobs } from '../generation/logprobs.ts';
import { toPromptLogprobs } from '../generation/prompt-logprobs.ts';
import type { ReplyCollector } from '../generation/reply.ts';
import type { ChunkForm } from '../generation/reply-frames.ts';
import { type ReplyHead, wireFinishReasons } from '../generation/reply-head.ts';
import { toTimings } from '../generation/timings.ts';
import { toUsage } from '../generation/usage.ts';
import type { ChatCompletion, ChatCompletionChunk } from './chat-shapes.ts';

type Message = ChatCompletion['choices'][number]['message'];

/** How a reply names its parts. */
export interface ChatForm {
  /** The fields of the reasoning: DeepSeek's name, OpenRouter's, or both. */
  readonly reasoningFields: readonly ('reasoning_content' | 'reasoning')[];
  /** A call has OpenAI's older form, `function_call`. */
  readonly callsFunctions: boolean;
}

/** The words for the end of a choice. */
function finishReasonsOf({ callsFunctions }: ChatForm) {
  return callsFunctions
    ? { ...wireFinishReasons, 'tool-calls': 'function_call' as const }
    : wireFinishReasons;
}

/** Collects the parts of one message. */
class ChatMessageBuilder {
  #content: string;
  #reasoning = '';
  readonly #calls: { id: string; name: string; arguments: string }[] = [];

  constructor(content: string) {
    this.#content = content;
  }

  add(delta: ReplyDelta): void {
    switch (delta.type) {
      case 'text-delta':
        this.#content += delta.text;
        return;
      case 'reasoning-delta':
        this.#reasoning += delta.text;
        return;
      case 'tool-call':
        this.#calls[delta.index] = { id: delta.id, name: delta.name, arguments: '' };
        return;
      case 'tool-call-delta': {
        const call = this.#calls[delta.index];
        if (call !== undefined) call.arguments += delta.arguments;
        return;
      }
      default:
        delta satisfies never;
    }
  }

  /** A message that only calls tools has no content. */
  build(form: ChatForm): Message {
    return {
      role: 'assistant',
      content: this.#content === '' && this.#calls.length > 0 ? null : this.#content,
      refusal: null,
      ...(this.#reasoning !== '' && reasoningIn(form, this.#reasoning)),
      ...this.#builtCalls(form),
    };
  }

  #builtCalls({ callsFunctions }: ChatForm): Partial<Message> {
    const [first] = this.#calls;
    if (first === undefined) return {};
    if (callsFunctions) return { function_call: { name: first.name, arguments: first.arguments } };
    return {
      tool_calls: this.#calls.map(({ id, ...call }) => ({ id, type: 'function', function: call })),
    };
  }
}

interface ChatReplyOptions {
  readonly choiceCount: number;
  /** Include the log probabilities of each choice's tokens. */
  readonly withLogprobs: boolean;
  /** The beginning of each choice's content: nothing, or the message that the reply continues. */
  readonly echo: string;
  readonly extras: ReplyExtras;
}

/** The reply to a request that does not stream. */
export class ChatReply implements ReplyCollector {
  readonly #head: ReplyHead;
  readonly #form: ChatForm;
  readonly #options: ChatReplyOptions;
  readonly #promptTokens: TokenLogprob[] = [];
  readonly #choices: readonly {
    readonly message: ChatMessageBuilder;
    readonly tokens: TokenLogprob[];
    readonly ids: ChoiceTokens;
    finishReason: CompletionFinishReason;
    stopReason: string | number | null;
  }[];

  constructor(head: ReplyHead, form: ChatForm, options: ChatReplyOptions) {
    this.#head = head;
    this.#form = form;
    this.#options = options;
    this.#choices = Array.from({ length: options.choiceCount }, () => ({
      message: new ChatMessageBuilder(options.echo),
      tokens: [],
      ids: new ChoiceTokens(),
      finishReason: 'stop',
      stopReason: null,
    }));
  }

  add(choice: number, event: CompletionEvent): void {
    const extended = this.#choices[choice];
    if (extended === undefined) return;
    switch (event.type) {
      case 'choice-begin':
        extended.ids.promptIds = event.promptIds;
        return;
      case 'prompt-progress':
        // Only a stream has it.
        return;
      case 'prompt-delta':
        if (choice === 0) this.#promptTokens.push(...event.tokens);
        return;
      case 'choice-end':
        extended.finishReason = event.finishReason;
        extended.stopReason = event.stopReason ?? null;
        break;
      default:
        extended.message.add(event);
    }
    extended.tokens.push(...(event.tokens ?? []));
    extended.ids.add(event.ids);
  }

  build(totals: CompletionTotals): ChatCompletion {
    const { withLogprobs, extras } = this.#options;
    const { tokenForm, returnTokenIds, returnStopReason, promptLogprobCount } = extras;
    const finishReasons = finishReasonsOf(this.#form);
    return {
      ...this.#head,
      object: 'chat.completion',
      ...(returnTokenIds && { prompt_token_ids: [...(this.#choices[0]?.ids.promptIds ?? [])] }),
      ...(promptLogprobCount !== undefined && {
        prompt_logprobs: toPromptLogprobs(this.#promptTokens, promptLogprobCount),
      }),
      choices: this.#choices.map(({ message, tokens, ids, finishReason, stopReason }, index) => ({
        index,
        message: message.build(this.#form),
        logprobs: withLogprobs ? toChatLogprobs(tokens, tokenForm) : null,
        finish_reason: finishReasons[finishReason],
        ...(returnStopReason && { stop_reason: stopReason }),
        ...(returnTokenIds && { token_ids: ids.ids }),
      })),
      usage: toUsage(totals.usage),
      timings: toTimings(totals),
    };
  }
}

type ChunkPart = Pick<ChatCompletionChunk['choices'][number], 'delta'>;

/** The chunks of a chat completion. */
export function chatChunks(form: ChatForm, tokenForm: TokenForm): ChunkForm<ChunkPart> {
  return {
    object: 'chat.completion.chunk',
    toPart: (delta) => ({ delta: toWireDelta(delta, form) }),
    toLogprobs: (tokens) => toChatLogprobs(tokens, tokenForm),
    endPart: { delta: {} },
    promptIdsIn: 'chunk',
    finishReasons: finishReasonsOf(form),
  };
}

/**
 * The first chunk of every choice.
 * @param echo - the beginning of its content
 */
export function chatOpening(echo: string): ChunkPart {
  return { delta: { role: 'assistant', content: echo, refusal: null } };
}

function reasoningIn({ reasoningFields }: ChatForm, text: string) {
  return Object.fromEntries(reasoningFields.map((field) => [field, text]));
}

function toWireDelta(delta: ReplyDelta, form: ChatForm): ChunkPart['delta'] {
  switch (delta.type) {
    case 'text-delta':
      return { content: delta.text };
    case 'reasoning-delta':
      return reasoningIn(form, delta.text);
    case 'tool-call': {
      const { index, id, name } = delta;
      if (form.callsFunctions) return { function_call: { name, arguments: '' } };
      return { tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] };
    }
    case 'tool-call-delta':
      if (form.callsFunctions) return { function_call: { arguments: delta.arguments } };
      return { tool_calls: [{ index: delta.index, function: { arguments: delta.arguments } }] };
    default:
      return delta satisfies never;
  }
}
