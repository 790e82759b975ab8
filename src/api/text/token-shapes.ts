import { type Static, Type } from 'typebox';
import { optional } from '../fields/optional.ts';

/** llama-server's fields and defaults: no BOS token, control tokens recognised, ids only. */
export const TokenizeRequest = Type.Object({
  content: Type.String(),
  add_special: optional(Type.Boolean()),
  parse_special: optional(Type.Boolean()),
  with_pieces: optional(Type.Boolean()),
});

/** A piece is a text, or its bytes where they alone are not valid UTF-8. */
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
