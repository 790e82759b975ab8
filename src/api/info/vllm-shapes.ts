import { type Static, Type } from 'typebox';

export const Version = Type.Object({ version: Type.String() });
export type Version = Static<typeof Version>;

export const Load = Type.Object({
  /** Requests that run or wait. */
  server_load: Type.Integer(),
});
export type Load = Static<typeof Load>;

export const Sleeping = Type.Object({ is_sleeping: Type.Boolean() });
export type Sleeping = Static<typeof Sleeping>;

/** The keys of Hugging Face's `tokenizer_config.json`, as far as a GGUF file has them. */
export const TokenizerInfo = Type.Object({
  tokenizer_class: Type.String(),
  /** Tokens of one request. */
  model_max_length: Type.Integer(),
  vocab_size: Type.Integer(),
  /** Null for a vocabulary without the token. */
  bos_token: Type.Union([Type.String(), Type.Null()]),
  eos_token: Type.Union([Type.String(), Type.Null()]),
  /** Jinja text; null if the model has none. */
  chat_template: Type.Union([Type.String(), Type.Null()]),
});
export type TokenizerInfo = Static<typeof TokenizerInfo>;
