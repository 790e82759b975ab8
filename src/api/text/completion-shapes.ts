import { type Static, Type } from 'typebox';
import { documented } from '../../core/route-doc.ts';
import { generationFields, maxChoiceCount } from '../fields/generation-fields.ts';
import { optional } from '../fields/optional.ts';
import { maxTopCount } from '../fields/reply-extras.ts';
import { replyFormatFields } from '../fields/reply-format-fields.ts';
import { choiceExtraFields, PromptTokenIds, RunningUsage } from '../generation/choice-tokens.ts';
import { TextLogprobs } from '../generation/logprobs.ts';
import type { PromptParts } from '../generation/prompt.ts';
import { PromptLogprobs } from '../generation/prompt-logprobs.ts';
import { PromptProgress } from '../generation/prompt-progress.ts';
import { replyHeadFields } from '../generation/reply-head.ts';
import { Timings } from '../generation/timings.ts';
import { Usage } from '../generation/usage.ts';

/**
 * A text, or an array. An array with token ids is one prompt of texts and tokens; any other array holds prompts,
 * each a text or an array of texts and tokens.
 */
export type RequestPrompt = string | readonly (string | number | PromptParts)[];

/** The honoured fields; `body-fields.ts` lists the refused ones. */
export const CompletionRequest = Type.Object({
  ...generationFields,
  ...replyFormatFields,
  prompt: Type.Unsafe<RequestPrompt>({
    type: ['string', 'array'],
    minItems: 1,
    items: {
      type: ['string', 'integer', 'array'],
      minimum: 0,
      minItems: 1,
      items: { type: ['string', 'integer'], minimum: 0 },
    },
    ...documented({
      anyOf: [
        { type: 'string' },
        ...['integer', 'array'].map((other) => ({
          type: 'array',
          items: { type: ['string', other] },
        })),
      ],
    }),
  }),
  suffix: optional(Type.String()),
  /** vLLM: false puts no BOS token before a prompt that is text. */
  add_special_tokens: optional(Type.Boolean()),
  echo: optional(Type.Boolean()),
  best_of: optional(Type.Integer({ minimum: 1, maximum: maxChoiceCount })),
  logprobs: optional(Type.Integer({ minimum: 0, maximum: maxTopCount })),
});
export type CompletionRequest = Static<typeof CompletionRequest>;

const FinishReason = Type.Enum(['stop', 'length']);

/** The reply to a request that does not stream. */
export const Completion = Type.Object({
  ...replyHeadFields,
  object: Type.Literal('text_completion'),
  choices: Type.Array(
    Type.Object({
      index: Type.Integer(),
      text: Type.String(),
      logprobs: Type.Union([TextLogprobs, Type.Null()]),
      finish_reason: FinishReason,
      ...choiceExtraFields,
      prompt_token_ids: PromptTokenIds,
      /** With `prompt_logprobs`. */
      prompt_logprobs: Type.Optional(PromptLogprobs),
    }),
  ),
  usage: Usage,
  timings: Timings,
});
export type Completion = Static<typeof Completion>;

/** One frame of a stream. */
export const CompletionChunk = Type.Object({
  ...replyHeadFields,
  object: Type.Literal('text_completion'),
  choices: Type.Array(
    Type.Object({
      index: Type.Integer(),
      text: Type.String(),
      logprobs: Type.Union([TextLogprobs, Type.Null()]),
      finish_reason: Type.Union([FinishReason, Type.Null()]),
      ...choiceExtraFields,
      prompt_token_ids: PromptTokenIds,
    }),
  ),
  /** With `include_usage`: null but on the last chunk; with `continuous_usage_stats`: the usage of the choice so far. */
  usage: Type.Optional(Type.Union([Usage, RunningUsage, Type.Null()])),
  /** On the last chunk. */
  timings: Type.Optional(Timings),
  /** On chunks before the reply, with `return_progress`. */
  prompt_progress: Type.Optional(PromptProgress),
});
export type CompletionChunk = Static<typeof CompletionChunk>;
