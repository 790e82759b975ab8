import { type Static, Type } from 'typebox';
import { optional } from '../fields/optional.ts';
import { ChatCompletionRequest } from './chat-shapes.ts';

/**
 * llama-server's `content`, vLLM's `prompt`, or the body of a chat. llama-server's defaults: no BOS token; vLLM's: the
 * BOS token of the model; both: control tokens are recognised.
 */
export const TokenizeRequest = Type.Object({
  ...ChatCompletionRequest.properties,
  messages: Type.Optional(ChatCompletionRequest.properties.messages),
  content: optional(Type.String()),
  add_special: optional(Type.Boolean()),
  parse_special: optional(Type.Boolean()),
  with_pieces: optional(Type.Boolean()),
  prompt: optional(Type.String()),
  add_special_tokens: optional(Type.Boolean()),
  return_token_strs: optional(Type.Boolean()),
});
export type TokenizeRequest = Static<typeof TokenizeRequest>;

/** A piece is a text, or its bytes where they alone are not valid UTF-8. */
const TokenWithPiece = Type.Object({
  id: Type.Integer(),
  piece: Type.Union([Type.String(), Type.Array(Type.Integer())]),
});

/** The reply in llama-server's form. */
export const Tokens = Type.Object({
  tokens: Type.Union([Type.Array(Type.Integer()), Type.Array(TokenWithPiece)]),
});
export type Tokens = Static<typeof Tokens>;

/** The reply in vLLM's form. */
export const CountedTokens = Type.Object({
  count: Type.Integer(),
  /** Tokens of one request. */
  max_model_len: Type.Integer(),
  tokens: Type.Array(Type.Integer()),
  /** Texts of the tokens, incomplete characters as U+FFFD; null unless the request asks for them. */
  token_strs: Type.Union([Type.Array(Type.String()), Type.Null()]),
});
export type CountedTokens = Static<typeof CountedTokens>;

export const AnyTokens = Type.Union([Tokens, CountedTokens]);
