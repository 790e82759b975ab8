import { characterCount } from '../core/characters.ts';
import type { ReplyDelta } from './generator.ts';
import type { TokenLogprob } from './logprobs.ts';

/**
 * Assigns tokens to the parts of a structured reply. A part is searched in the text that no earlier part has claimed. It
 * claims the text up to its own end, and the tokens that begin in it. Tokens that the parser removed, such as the tags
 * around reasoning, therefore belong to the part behind them. A part whose text the parser rewrote claims all unclaimed
 * text.
 */
export class TokenClaims {
  /** The unclaimed text. */
  #text = '';
  /** Characters (code points) before the unclaimed text. */
  #claimedCount = 0;
  /** The tokens of the unclaimed text, in order. */
  #tokens: TokenLogprob[] = [];
  #withLogprobs = false;

  /** Adds text; `tokens` is undefined without log probabilities. */
  add(text: string, tokens: readonly TokenLogprob[] | undefined): void {
    if (tokens === undefined) return;
    this.#withLogprobs = true;
    this.#text += text;
    this.#tokens.push(...tokens);
  }

  /** The part with its tokens, if it has any. */
  claim(part: ReplyDelta): ReplyDelta {
    if (!this.#withLogprobs) return part;
    const wanted = textOf(part);
    const start = this.#text.indexOf(wanted);
    const length = start === -1 ? this.#text.length : start + wanted.length;
    this.#claimedCount += characterCount(this.#text.slice(0, length));
    this.#text = this.#text.slice(length);
    const next = this.#tokens.findIndex((token) => token.firstCharacter >= this.#claimedCount);
    const tokens = this.#tokens.splice(0, next === -1 ? this.#tokens.length : next);
    return tokens.length === 0 ? part : { ...part, tokens };
  }

  /** The tokens that no part has claimed, at the end of the reply. */
  rest(): { readonly tokens?: readonly TokenLogprob[] } {
    return this.#tokens.length === 0 ? {} : { tokens: this.#tokens.splice(0) };
  }
}

function textOf(part: ReplyDelta): string {
  switch (part.type) {
    case 'tool-call':
      return part.name;
    case 'tool-call-delta':
      return part.arguments;
    default:
      return part.text;
  }
}
