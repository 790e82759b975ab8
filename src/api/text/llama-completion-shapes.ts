/** llama-server's own completions: the bodies of `POST /completion` and `POST /infill`, and their reply. */
import { type Static, Type } from 'typebox';
import { documented } from '../../core/route-doc.ts';
import { generationFields, maxChoiceCount } from '../fields/generation-fields.ts';
import { optional } from '../fields/optional.ts';
import { replyFormatFields } from '../fields/reply-format-fields.ts';
import { PromptProgress } from '../generation/prompt-progress.ts';
import { Timings } from '../generation/timings.ts';
import type { RequestPrompt } from './completion-shapes.ts';

/** Maximum likeliest tokens at each position. */
const maxProbabilityCount = 100;

/** Fields of vLLM about a reply of another shape. */
const {
  prompt_logprobs: _promptLogprobs,
  return_tokens_as_token_ids: _asIds,
  ...sharedFields
} = generationFields;

/** The fields of both endpoints. */
const llamaFields = {
  ...sharedFields,
  ...replyFormatFields,
  /** llama-server's name of `n`. */
  n_cmpl: optional(Type.Integer({ minimum: 1, maximum: maxChoiceCount })),
  n_probs: optional(Type.Integer({ minimum: 0, maximum: maxProbabilityCount })),
  /** Blanks that each line behind the first begins with. */
  n_indent: optional(Type.Integer({ minimum: 0, maximum: 1000 })),
  return_tokens: optional(Type.Boolean()),
  /** Paths of the fields to return, such as `timings/predicted_n`; empty: all. */
  response_fields: optional(Type.Array(Type.String(), { maxItems: 100 })),
};

/** A prompt of its own, or one among others. */
export interface PromptObject {
  readonly prompt_string: string | readonly (string | number)[];
  readonly multimodal_data?: readonly unknown[] | null;
}
export type LlamaPrompt =
  | RequestPrompt
  | PromptObject
  | readonly (RequestPrompt[number] | PromptObject)[];

const promptObject = {
  properties: {
    prompt_string: {
      type: ['string', 'array'],
      minItems: 1,
      items: { type: ['string', 'integer'], minimum: 0 },
    },
    multimodal_data: { type: ['array', 'null'] },
  },
  required: ['prompt_string'],
};

export const LlamaCompletionRequest = Type.Object({
  ...llamaFields,
  prompt: Type.Unsafe<LlamaPrompt>({
    type: ['string', 'array', 'object'],
    minItems: 1,
    items: {
      type: ['string', 'integer', 'array', 'object'],
      minimum: 0,
      minItems: 1,
      items: { type: ['string', 'integer'], minimum: 0 },
      ...promptObject,
    },
    ...promptObject,
  }),
});
export type LlamaCompletionRequest = Static<typeof LlamaCompletionRequest>;

export const InfillRequest = Type.Object({
  ...llamaFields,
  input_prefix: optional(Type.String()),
  input_suffix: optional(Type.String()),
  /** Follows the prefix: what the user has typed on the line. */
  prompt: optional(Type.String()),
  /** Other texts of the project, the most important last. */
  input_extra: Type.Optional(
    Type.Unsafe<readonly { readonly filename?: string | null; readonly text: string }[] | null>({
      type: ['array', 'null'],
      maxItems: 1000,
      items: {
        type: 'object',
        properties: { filename: { type: ['string', 'null'] }, text: { type: 'string' } },
        required: ['text'],
      },
    }),
  ),
  /** `infill` keeps the end of the text among the candidates. */
  samplers: Type.Optional(
    Type.Unsafe<string[] | null>({
      ...generationFields.samplers,
      items: { enum: [...samplerNames(), 'infill'] },
      ...documented({}),
    }),
  ),
});
export type InfillRequest = Static<typeof InfillRequest>;

/** The fields that both bodies have. */
export type LlamaFields = Omit<LlamaCompletionRequest, 'prompt'>;

const Piece = {
  id: Type.Integer(),
  /** Incomplete characters read as U+FFFD. */
  token: Type.String(),
  bytes: Type.Array(Type.Integer()),
  logprob: Type.Number(),
};

export const Probabilities = Type.Array(
  Type.Object({ ...Piece, top_logprobs: Type.Array(Type.Object(Piece)) }),
);
export type Probabilities = Static<typeof Probabilities>;

const choiceFields = {
  /** Of the choice: all choices of a prompt before those of the next. */
  index: Type.Integer(),
  content: Type.String(),
  /** Ids of the tokens; without `return_tokens` and `stream` none. */
  tokens: Type.Array(Type.Integer()),
  /** Always −1: slots are interchangeable. */
  id_slot: Type.Integer(),
  stop: Type.Boolean(),
  tokens_predicted: Type.Integer(),
  tokens_evaluated: Type.Integer(),
};

/** A piece of a stream. */
export const LlamaPiece = Type.Object({
  ...choiceFields,
  prompt_progress: Type.Optional(PromptProgress),
  completion_probabilities: Type.Optional(Probabilities),
});
export type LlamaPiece = Static<typeof LlamaPiece>;

/** A whole choice, or the last frame of one. */
export const LlamaChoice = Type.Object({
  ...choiceFields,
  /** The served id. */
  model: Type.String(),
  generation_settings: Type.Record(Type.String(), Type.Unknown()),
  /** The text of the prompt's tokens, control tokens included. */
  prompt: Type.String(),
  has_new_line: Type.Boolean(),
  /** The context was full, or a part of the prompt had no room in it. */
  truncated: Type.Boolean(),
  stop_type: Type.Enum(['eos', 'limit', 'word']),
  stopping_word: Type.String(),
  /** Tokens of the sequence that are in the cache at its end. */
  tokens_cached: Type.Integer(),
  timings: Timings,
  completion_probabilities: Type.Optional(Probabilities),
});
export type LlamaChoice = Static<typeof LlamaChoice>;

/** A choice as it is sent: `response_fields` may leave out any field. */
const SentChoice = Type.Partial(LlamaChoice);

/** One choice by itself, several in an array. */
export const LlamaCompletion = Type.Union([SentChoice, Type.Array(SentChoice)]);

/** A frame of a stream; the last of each choice has `stop: true`. */
export const LlamaFrame = Type.Union([LlamaPiece, SentChoice]);

function samplerNames(): readonly string[] {
  const { items } = generationFields.samplers as unknown as { readonly items: { enum: string[] } };
  return items.enum;
}
