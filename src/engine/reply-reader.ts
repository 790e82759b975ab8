import { randomInt } from 'node:crypto';
import type { NativeReplyDelta, NativeReplyParser } from './addon.ts';
import type { EngineEvent, ReplyDelta } from './generator.ts';
import { TokenClaims } from './token-claims.ts';

/**
 * Splits the text of one structured reply into its parts. The native parser parses the whole reply again for every piece,
 * on a worker thread. Pieces that arrive meanwhile are parsed together, so a long reply arrives in larger pieces instead
 * of ever later.
 */
export class ReplyReader {
  readonly #parser: NativeReplyParser;
  /** The arguments of each call so far. */
  readonly #calls: string[] = [];
  readonly #claims = new TokenClaims();
  /** Of tokens whose texts are read, but are in no part yet. */
  #ids: number[] = [];

  constructor(parser: NativeReplyParser) {
    this.#parser = parser;
  }

  /**
   * @param events - texts in their order, and at most an end
   * @returns the parts of the texts, and the end if there is one
   */
  async read(events: readonly EngineEvent[]): Promise<readonly EngineEvent[]> {
    const pieces = events.filter((event) => event.type === 'text-delta');
    const text = pieces.map((piece) => piece.text).join('');
    for (const { text, tokens, ids } of pieces) {
      this.#claims.add(text, tokens);
      if (ids !== undefined) this.#ids.push(...ids);
    }
    const last = events.at(-1);
    const end = last?.type === 'sequence-end' ? last : undefined;
    const parts = (await this.#parser.push(text, end !== undefined))
      .flatMap((delta) => this.#toParts(delta))
      .map((part) => this.#withIds(this.#claims.claim(part)));
    // What is known of the prompt comes before any text.
    const before = events.filter(
      (event) => event.type === 'prompt-progress' || event.type === 'prompt-delta',
    );
    if (end === undefined) return [...before, ...parts];
    const called = end.finishReason === 'stop' && this.#calls.length > 0 && this.#isComplete();
    const finishReason = called ? 'tool-calls' : end.finishReason;
    this.#ids.push(...(end.ids ?? []));
    const ended = this.#withIds({ ...end, finishReason, ...this.#claims.rest() });
    return [...before, ...parts, ended];
  }

  /** The first part that follows some tokens has their ids, since the parser reads texts and not tokens. */
  #withIds<Event extends { readonly ids?: readonly number[] }>(event: Event): Event {
    if (this.#ids.length === 0) return event;
    const ids = this.#ids;
    this.#ids = [];
    return { ...event, ids };
  }

  #toParts(delta: NativeReplyDelta): readonly ReplyDelta[] {
    if (delta.type !== 'tool-call-delta') return [delta];
    const { index } = delta;
    this.#calls[index] = (this.#calls[index] ?? '') + delta.arguments;
    const parts: ReplyDelta[] = [];
    if (delta.name !== '') {
      parts.push({ type: 'tool-call', index, id: delta.id || newCallId(), name: delta.name });
    }
    if (delta.arguments !== '') {
      parts.push({ type: 'tool-call-delta', index, arguments: delta.arguments });
    }
    return parts;
  }

  /** False if a stop text cut the reply within a call; the reply then calls nothing. */
  #isComplete(): boolean {
    return this.#calls.every((text) => {
      try {
        JSON.parse(text);
        return true;
      } catch {
        return false;
      }
    });
  }
}

const idLetters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

/** Nine letters and digits: Mistral's templates accept no other ids. */
function newCallId(): string {
  return Array.from({ length: 9 }, () => idLetters[randomInt(idLetters.length)]).join('');
}
