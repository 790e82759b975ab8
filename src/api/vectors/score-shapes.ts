import { type Static, Type } from 'typebox';
import { optional } from '../fields/optional.ts';
import { InputUsage, maxInputCount } from './embedding-shapes.ts';

/** One text or several. */
const Texts = Type.Optional(
  Type.Unsafe<string | readonly string[] | null>({
    type: ['string', 'array', 'null'],
    minLength: 1,
    minItems: 1,
    maxItems: maxInputCount,
    items: { type: 'string', minLength: 1 },
  }),
);

/** vLLM's fields: one text and several, or as many on both sides. Each side has several names. */
export const ScoreRequest = Type.Object({
  model: optional(Type.String()),
  text_1: Texts,
  queries: Texts,
  data_1: Texts,
  text_2: Texts,
  documents: Texts,
  items: Texts,
  data_2: Texts,
});
export type ScoreRequest = Static<typeof ScoreRequest>;

export const ScoreList = Type.Object({
  id: Type.String(),
  object: Type.Literal('list'),
  created: Type.Integer(),
  model: Type.String(),
  data: Type.Array(
    Type.Object({
      index: Type.Integer(),
      object: Type.Literal('score'),
      /** Of a model that ranks 0 to 1, else the cosine of the two vectors, −1 to 1. */
      score: Type.Number(),
    }),
  ),
  usage: InputUsage,
});
export type ScoreList = Static<typeof ScoreList>;
