import { isUtf8 } from 'node:buffer';
import { type Static, Type } from 'typebox';
import { characterCount } from '../../core/characters.ts';
import type { TokenLogprob, TopLogprob } from '../../engine/logprobs.ts';
import type { TokenForm } from '../fields/reply-extras.ts';

const pieceFields = {
  /** Incomplete characters read as U+FFFD. */
  token: Type.String(),
  logprob: Type.Number(),
  bytes: Type.Array(Type.Integer()),
};

/** Log probabilities of a chat reply, or of a piece of it. */
export const ChatLogprobs = Type.Object({
  content: Type.Array(
    Type.Object({ ...pieceFields, top_logprobs: Type.Array(Type.Object(pieceFields)) }),
  ),
  refusal: Type.Null(),
});
export type ChatLogprobs = Static<typeof ChatLogprobs>;

/** Log probabilities of a text completion, or of a piece of it, in columns. */
export const TextLogprobs = Type.Object({
  tokens: Type.Array(Type.String()),
  /** Null for the first token of a prompt. */
  token_logprobs: Type.Array(Type.Union([Type.Number(), Type.Null()])),
  top_logprobs: Type.Array(Type.Union([Type.Record(Type.String(), Type.Number()), Type.Null()])),
  /** Characters (code points) of the choice's text before the token. */
  text_offset: Type.Array(Type.Integer()),
});
export type TextLogprobs = Static<typeof TextLogprobs>;

/** OpenAI's value for an excluded token; JSON has no infinity. */
export const minLogprob = -9999;

export function toChatLogprobs(
  tokens: readonly TokenLogprob[],
  { asIds, topCount }: TokenForm,
): ChatLogprobs {
  const toPiece = ({ id, bytes, logprob }: TopLogprob) => ({
    token: asIds ? toIdText(id) : bytes.toString(),
    logprob: Math.max(logprob, minLogprob),
    bytes: [...bytes],
  });
  return {
    content: tokens.map(({ logprob = minLogprob, top, ...token }) => ({
      ...toPiece({ ...token, logprob }),
      top_logprobs: top.slice(0, topCount).map(toPiece),
    })),
    refusal: null,
  };
}

function toIdText(id: number): string {
  return `token_id:${id}`;
}

/**
 * Log probabilities of a completion's tokens.
 * @param startCount - characters of the choice's text before the completion
 */
export function completionLogprobs(
  tokens: readonly TokenLogprob[],
  startCount: number,
  form: TokenForm,
): TextLogprobs {
  return toColumns(
    tokens,
    tokens.map(({ firstCharacter }) => startCount + firstCharacter),
    form,
  );
}

/**
 * Log probabilities of all tokens of an echoed prompt. A BOS token, or a space that the vocabulary prepends, precedes
 * the text, so the offsets are counted from the end.
 */
export function promptLogprobs(
  tokens: readonly TokenLogprob[],
  text: string,
  form: TokenForm,
): TextLogprobs {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let count = 0;
  const starts = tokens.map(({ bytes }) => {
    const start = count;
    count += characterCount(decoder.decode(bytes, { stream: true }));
    return start;
  });
  count += characterCount(decoder.decode());
  const surplus = count - characterCount(text);
  return toColumns(
    tokens,
    starts.map((start) => Math.max(0, start - surplus)),
    form,
  );
}

/** Joins two consecutive pieces. */
export function joinLogprobs(first: TextLogprobs, second: TextLogprobs): TextLogprobs {
  return {
    tokens: [...first.tokens, ...second.tokens],
    token_logprobs: [...first.token_logprobs, ...second.token_logprobs],
    top_logprobs: [...first.top_logprobs, ...second.top_logprobs],
    text_offset: [...first.text_offset, ...second.text_offset],
  };
}

function toColumns(
  tokens: readonly TokenLogprob[],
  offsets: number[],
  form: TokenForm,
): TextLogprobs {
  return {
    tokens: tokens.map((token) => toKey(token, form)),
    token_logprobs: tokens.map(({ logprob }) =>
      logprob === undefined ? null : Math.max(logprob, minLogprob),
    ),
    top_logprobs: tokens.map((token) => toMap(token, form)),
    text_offset: offsets,
  };
}

/** The likeliest tokens, and the token itself if it is not among them. */
function toMap(
  { id, bytes, logprob, top }: TokenLogprob,
  form: TokenForm,
): Record<string, number> | null {
  if (logprob === undefined) return null;
  const map = new Map<string, number>();
  const itself: TopLogprob = { id, bytes, logprob };
  for (const piece of [...top.slice(0, form.topCount), itself]) {
    const key = toKey(piece, form);
    if (!map.has(key)) map.set(key, Math.max(piece.logprob, minLogprob));
  }
  return Object.fromEntries(map);
}

/** A token's text. Without a field for its bytes, parts of characters are written as escapes. */
function toKey({ id, bytes }: Pick<TopLogprob, 'id' | 'bytes'>, { asIds }: TokenForm): string {
  if (asIds) return toIdText(id);
  if (isUtf8(bytes)) return bytes.toString();
  return `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
}
