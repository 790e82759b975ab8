import { type Static, Type } from 'typebox';

export const DetokenizeRequest = Type.Object({
  tokens: Type.Array(Type.Integer({ minimum: 0 })),
});

/** The text under llama-server's name and under vLLM's. */
export const Content = Type.Object({ content: Type.String(), prompt: Type.String() });
export type Content = Static<typeof Content>;
