/** Prompts of an exact number of tokens. Any two prompts differ within their first two words. */
import type { LlamaModel, Token } from 'node-llama-cpp';

export interface Prompt {
  readonly text: string;
  readonly tokens: readonly Token[];
}

/** A vocabulary entry that is a space and one plain word, as byte-level BPE or SentencePiece writes it. */
const oneTokenWord = /^[Ġ▁][a-z]{2,8}$/;
const attemptCount = 200;

export class PromptSource {
  readonly #model: LlamaModel;
  readonly #words: readonly string[];
  readonly #seen = new Set<string>();
  #state = 0x2545f491;

  constructor(model: LlamaModel) {
    this.#model = model;
    this.#words = (model.fileInfo.metadata.tokenizer?.ggml?.tokens ?? [])
      .filter((text) => oneTokenWord.test(text))
      .map((text) => text.slice(1));
    if (this.#words.length < 64)
      throw new Error('the vocabulary has fewer than 64 words of one token');
  }

  /** Returns `promptCount` prompts that this source has not returned before. */
  take(promptCount: number, tokenCount: number): Prompt[] {
    return Array.from({ length: promptCount }, () => this.#next(tokenCount));
  }

  #next(tokenCount: number): Prompt {
    for (let attempt = 0; attempt < attemptCount; attempt++) {
      const text = Array.from({ length: tokenCount }, () => this.#word()).join(' ');
      const start = text.split(' ', 2).join(' ');
      if (this.#seen.has(start)) continue;
      const tokens = this.#model.tokenize(text);
      if (tokens.length !== tokenCount) continue;
      this.#seen.add(start);
      return { text, tokens };
    }
    throw new Error(`found no new prompt of ${tokenCount} tokens in ${attemptCount} attempts`);
  }

  #word(): string {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#words[(this.#state >>> 0) % this.#words.length] ?? '';
  }
}
