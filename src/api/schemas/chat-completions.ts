import { type Static, Type } from 'typebox';
import { optional } from './optional.ts';
import { Usage } from './usage.ts';

const ContentPart = Type.Object({
  type: Type.String(),
  text: Type.Optional(Type.String()),
});
export type ContentPart = Static<typeof ContentPart>;

const RequestMessage = Type.Object({
  role: Type.Enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: Type.Optional(
    Type.Unsafe<string | ContentPart[] | null>({
      type: ['string', 'array', 'null'],
      minItems: 1,
      items: ContentPart,
    }),
  ),
  tool_calls: Type.Optional(Type.Unknown()),
  function_call: Type.Optional(Type.Unknown()),
  audio: Type.Optional(Type.Unknown()),
});
export type RequestMessage = Static<typeof RequestMessage>;

/** The fields that are honoured. What is refused is listed in `unsupported-parameters.ts`. */
export const ChatCompletionRequest = Type.Object({
  model: optional(Type.String()),
  messages: Type.Array(RequestMessage, { minItems: 1 }),
  max_tokens: optional(Type.Integer({ minimum: 1 })),
  max_completion_tokens: optional(Type.Integer({ minimum: 1 })),
  temperature: optional(Type.Number({ minimum: 0, maximum: 2 })),
  top_p: optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
  stop: Type.Optional(
    Type.Unsafe<string | string[] | null>({
      type: ['string', 'array', 'null'],
      minLength: 1,
      maxItems: 16,
      items: Type.String({ minLength: 1 }),
    }),
  ),
  // Signed or unsigned; a JSON number above 2^53 arrives rounded, at most to 2^64.
  seed: optional(Type.Integer({ format: 'int64', minimum: -(2 ** 63), maximum: 2 ** 64 })),
  ignore_eos: optional(Type.Boolean()),
  stream: optional(Type.Boolean()),
  stream_options: optional(
    Type.Object({
      include_usage: optional(Type.Boolean()),
      include_obfuscation: optional(Type.Boolean()),
    }),
  ),
});
export type ChatCompletionRequest = Static<typeof ChatCompletionRequest>;

const ReplyFinishReason = Type.Enum(['stop', 'length']);

/** The reply to a request that does not stream. */
export const ChatCompletion = Type.Object({
  id: Type.String(),
  object: Type.Literal('chat.completion'),
  created: Type.Integer(),
  model: Type.String(),
  system_fingerprint: Type.String(),
  choices: Type.Array(
    Type.Object({
      index: Type.Integer(),
      message: Type.Object({
        role: Type.Literal('assistant'),
        content: Type.String(),
        refusal: Type.Null(),
      }),
      logprobs: Type.Null(),
      finish_reason: ReplyFinishReason,
    }),
  ),
  usage: Usage,
});
export type ChatCompletion = Static<typeof ChatCompletion>;

/** One frame of a stream. */
export const ChatCompletionChunk = Type.Object({
  id: Type.String(),
  object: Type.Literal('chat.completion.chunk'),
  created: Type.Integer(),
  model: Type.String(),
  system_fingerprint: Type.String(),
  choices: Type.Array(
    Type.Object({
      index: Type.Integer(),
      delta: Type.Object({
        role: Type.Optional(Type.Literal('assistant')),
        content: Type.Optional(Type.String()),
        refusal: Type.Optional(Type.Null()),
      }),
      logprobs: Type.Null(),
      finish_reason: Type.Union([ReplyFinishReason, Type.Null()]),
    }),
  ),
  usage: Type.Optional(Type.Union([Usage, Type.Null()])),
});
export type ChatCompletionChunk = Static<typeof ChatCompletionChunk>;
