import { type Static, Type } from 'typebox';
import { documented } from '../../core/route-doc.ts';
import { generationFields } from '../fields/generation-fields.ts';
import { optional } from '../fields/optional.ts';
import { replyFormatFields } from '../fields/reply-format-fields.ts';
import { choiceExtraFields, PromptTokenIds, RunningUsage } from '../generation/choice-tokens.ts';
import { ChatLogprobs } from '../generation/logprobs.ts';
import { PromptLogprobs } from '../generation/prompt-logprobs.ts';
import { PromptProgress } from '../generation/prompt-progress.ts';
import { replyHeadFields } from '../generation/reply-head.ts';
import { Timings } from '../generation/timings.ts';
import { Usage } from '../generation/usage.ts';
import { chatEndingFields } from './chat-ending.ts';
import { reasoningFields } from './chat-reasoning.ts';

/** A part of a content. Each text type has its text in `text`, a refusal in `refusal`. */
const ContentPart = Type.Object({
  type: Type.String(documented({ enum: ['text', 'input_text', 'output_text', 'refusal'] })),
  text: optional(Type.String()),
  refusal: optional(Type.String()),
  /** Reasoning, as Anthropic and Mistral write it. */
  thinking: Type.Optional(
    Type.Unsafe<string | { readonly text?: string | null }[] | null>({
      type: ['string', 'array', 'null'],
      items: { type: 'object', properties: { text: { type: ['string', 'null'] } } },
    }),
  ),
});
export type ContentPart = Static<typeof ContentPart>;

/** A called function. Any value is accepted as arguments: histories have cut ones. */
const CalledFunction = Type.Object({
  name: Type.String(),
  arguments: Type.Optional(
    Type.Unknown(documented({ description: 'A JSON object as text, or the object itself.' })),
  ),
});

const RequestToolCall = Type.Object({
  id: optional(Type.String()),
  type: optional(Type.String(documented({ enum: ['function', 'custom'] }))),
  function: optional(CalledFunction),
  /** OpenAI's call with a text instead of arguments. */
  custom: optional(Type.Object({ name: Type.String(), input: Type.String() })),
});
export type RequestToolCall = Static<typeof RequestToolCall>;

const RequestMessage = Type.Object({
  role: Type.Enum(['system', 'developer', 'user', 'assistant', 'tool', 'function']),
  content: Type.Optional(
    Type.Unsafe<string | (string | ContentPart)[] | null>({
      type: ['string', 'array', 'null'],
      items: { ...ContentPart, type: ['object', 'string'] },
    }),
  ),
  name: optional(Type.String()),
  reasoning_content: optional(Type.String()),
  /** The name other servers give it. */
  reasoning: optional(Type.String()),
  /** The content of a reply that refuses. */
  refusal: optional(Type.String()),
  tool_calls: optional(Type.Array(RequestToolCall)),
  tool_call_id: optional(Type.String()),
  /** OpenAI's older form of a call. */
  function_call: optional(CalledFunction),
  audio: Type.Optional(Type.Unknown()),
});
export type RequestMessage = Static<typeof RequestMessage>;

const RequestFunction = Type.Object({
  /** OpenAI's names, and those of MCP servers. */
  name: Type.String({ pattern: '^[a-zA-Z0-9_.:/@-]{1,128}$' }),
  description: optional(Type.String()),
  parameters: optional(Type.Object({})),
  strict: optional(Type.Boolean()),
});
export type RequestFunction = Static<typeof RequestFunction>;

const RequestTool = Type.Object(
  {
    type: Type.String(documented({ enum: ['function'] })),
    function: Type.Optional(RequestFunction),
  },
  documented({ required: ['type', 'function'] }),
);
export type RequestTool = Static<typeof RequestTool>;

/** A mode, a name, or an object that `tool-choice.ts` reads. */
export type ToolChoice = string | { readonly [key: string]: unknown };

const namedFunction = {
  type: 'object',
  required: ['type', 'function'],
  properties: {
    type: { type: 'string', enum: ['function'] },
    function: {
      type: 'object',
      required: ['name'],
      properties: { name: { type: 'string' } },
    },
  },
};

/** OpenAI's choices; `tool-choice.ts` reads those of other APIs, too. */
const documentedToolChoices = [
  { type: 'string', enum: ['none', 'auto', 'required'] },
  namedFunction,
  {
    type: 'object',
    required: ['type', 'allowed_tools'],
    properties: {
      type: { type: 'string', enum: ['allowed_tools'] },
      allowed_tools: {
        type: 'object',
        required: ['tools'],
        properties: {
          mode: { type: 'string', enum: ['auto', 'required'] },
          tools: {
            type: 'array',
            items: {
              anyOf: [
                { type: 'string' },
                {
                  type: 'object',
                  required: ['function'],
                  properties: { function: namedFunction.properties.function },
                },
              ],
            },
          },
        },
      },
    },
  },
  { type: 'null' },
];

const ToolChoice = Type.Unsafe<ToolChoice | null>({
  type: ['string', 'object', 'null'],
  ...documented({ anyOf: documentedToolChoices }),
});

/** The choice of OpenAI's older form. */
const FunctionChoice = Type.Unsafe<ToolChoice | null>({
  type: ['string', 'object', 'null'],
  ...documented({
    anyOf: [
      { type: 'string', enum: ['none', 'auto'] },
      namedFunction.properties.function,
      { type: 'null' },
    ],
  }),
});

/** A text, or Anthropic's text blocks. */
const System = Type.Unsafe<string | { readonly text: string }[] | null>({
  type: ['string', 'array', 'null'],
  items: {
    type: 'object',
    properties: { type: { type: 'string', enum: ['text'] }, text: { type: 'string' } },
    required: ['text'],
  },
});

/** The honoured fields; `body-fields.ts` lists the refused ones. */
export const ChatCompletionRequest = Type.Object({
  ...generationFields,
  messages: Type.Array(RequestMessage, { minItems: 1 }),
  logprobs: optional(Type.Boolean()),
  top_logprobs: optional(Type.Integer({ minimum: 0, maximum: 20 })),
  ...replyFormatFields,
  ...chatEndingFields,
  /** Anthropic's and Ollama's system message. */
  system: Type.Optional(System),
  tools: optional(Type.Array(RequestTool)),
  tool_choice: Type.Optional(ToolChoice),
  parallel_tool_calls: optional(Type.Boolean()),
  /** OpenAI's older form of tools; the reply has the older form of a call. */
  functions: optional(Type.Array(RequestFunction)),
  function_call: Type.Optional(FunctionChoice),
  ...reasoningFields,
});
export type ChatCompletionRequest = Static<typeof ChatCompletionRequest>;

const ReplyFinishReason = Type.Enum(['stop', 'length', 'tool_calls', 'function_call']);

const ReplyFunctionCall = Type.Object({ name: Type.String(), arguments: Type.String() });

const ReplyToolCall = Type.Object({
  id: Type.String(),
  type: Type.Literal('function'),
  function: ReplyFunctionCall,
});

const FunctionCallDelta = Type.Object({
  name: Type.Optional(Type.String()),
  arguments: Type.String(),
});

/** The first delta of a call has everything except its arguments; all others have only arguments. */
const ToolCallDelta = Type.Object({
  index: Type.Integer(),
  id: Type.Optional(Type.String()),
  type: Type.Optional(Type.Literal('function')),
  function: FunctionCallDelta,
});

/** The reply to a request that does not stream. */
export const ChatCompletion = Type.Object({
  ...replyHeadFields,
  object: Type.Literal('chat.completion'),
  prompt_token_ids: PromptTokenIds,
  /** With `prompt_logprobs`. */
  prompt_logprobs: Type.Optional(PromptLogprobs),
  choices: Type.Array(
    Type.Object({
      index: Type.Integer(),
      message: Type.Object({
        role: Type.Literal('assistant'),
        content: Type.Union([Type.String(), Type.Null()]),
        refusal: Type.Null(),
        reasoning_content: Type.Optional(Type.String()),
        reasoning: Type.Optional(Type.String()),
        tool_calls: Type.Optional(Type.Array(ReplyToolCall)),
        /** Only if the request has `functions`. */
        function_call: Type.Optional(ReplyFunctionCall),
      }),
      logprobs: Type.Union([ChatLogprobs, Type.Null()]),
      finish_reason: ReplyFinishReason,
      ...choiceExtraFields,
    }),
  ),
  usage: Usage,
  timings: Timings,
});
export type ChatCompletion = Static<typeof ChatCompletion>;

/** One frame of a stream. */
export const ChatCompletionChunk = Type.Object({
  ...replyHeadFields,
  object: Type.Literal('chat.completion.chunk'),
  prompt_token_ids: PromptTokenIds,
  choices: Type.Array(
    Type.Object({
      index: Type.Integer(),
      delta: Type.Object({
        role: Type.Optional(Type.Literal('assistant')),
        content: Type.Optional(Type.String()),
        refusal: Type.Optional(Type.Null()),
        reasoning_content: Type.Optional(Type.String()),
        reasoning: Type.Optional(Type.String()),
        tool_calls: Type.Optional(Type.Array(ToolCallDelta)),
        function_call: Type.Optional(FunctionCallDelta),
      }),
      logprobs: Type.Union([ChatLogprobs, Type.Null()]),
      finish_reason: Type.Union([ReplyFinishReason, Type.Null()]),
      ...choiceExtraFields,
    }),
  ),
  /** With `include_usage`: null but on the last chunk; with `continuous_usage_stats`: the usage of the choice so far. */
  usage: Type.Optional(Type.Union([Usage, RunningUsage, Type.Null()])),
  /** On the last chunk. */
  timings: Type.Optional(Timings),
  /** On chunks before the reply, with `return_progress`. */
  prompt_progress: Type.Optional(PromptProgress),
});
export type ChatCompletionChunk = Static<typeof ChatCompletionChunk>;

/** A chat as the text of its prompt. */
export const RenderedPrompt = Type.Object({
  prompt: Type.String(),
  changes: Type.Optional(
    Type.Array(Type.String(), {
      description:
        'What stands otherwise in the prompt than in the messages, because the chat template has no place for it, such as `system-joined`. Absent where nothing does.',
    }),
  ),
});
export type RenderedPrompt = Static<typeof RenderedPrompt>;

/** OpenAI's object for the token count of a prompt. */
export const InputTokens = Type.Object({
  object: Type.Literal('response.input_tokens'),
  input_tokens: Type.Integer(),
});
export type InputTokens = Static<typeof InputTokens>;
