import { type Static, Type } from 'typebox';
import { optional } from '../fields/optional.ts';

/** llama-server's fields, with its defaults: no BOS, control tokens recognised, ids only. */
export const TokenizeRequest = Type.Object({
  content: Type.String(),
  add_special: optional(Type.Boolean()),
  parse_special: optional(Type.Boolean()),
  with_pieces: optional(Type.Boolean()),
});

/** A piece is a text, or its bytes where they are not valid UTF-8 by themselves. */
const TokenWithPiece = Type.Object({
  id: Type.Integer(),
  piece: Type.Union([Type.String(), Type.Array(Type.Integer())]),
});
export type TokenWithPiece = Static<typeof TokenWithPiece>;

export const Tokens = Type.Object({
  tokens: Type.Union([Type.Array(Type.Integer()), Type.Array(TokenWithPiece)]),
});
export type Tokens = Static<typeof Tokens>;

export const DetokenizeRequest = Type.Object({
  tokens: Type.Array(Type.Integer({ minimum: 0 })),
});

export const Content = Type.Object({ content: Type.String() });
export type Content = Static<typeof Content>;

/** A chat as the text the model is shown. */
export const RenderedPrompt = Type.Object({ prompt: Type.String() });
export type RenderedPrompt = Static<typeof RenderedPrompt>;

/** OpenAI's object for a prompt that was only counted. */
export const InputTokens = Type.Object({
  object: Type.Literal('response.input_tokens'),
  input_tokens: Type.Integer(),
});
export type InputTokens = Static<typeof InputTokens>;
