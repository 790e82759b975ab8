/** The objects and events of OpenAI's Responses API. */
import { type Static, type TSchema, Type } from 'typebox';

const ItemStatus = Type.Enum(['in_progress', 'completed', 'incomplete']);

const LogProb = Type.Object({
  token: Type.String(),
  logprob: Type.Number(),
  bytes: Type.Array(Type.Integer()),
  top_logprobs: Type.Array(
    Type.Object({
      token: Type.String(),
      logprob: Type.Number(),
      bytes: Type.Array(Type.Integer()),
    }),
  ),
});
export type LogProb = Static<typeof LogProb>;

const OutputText = Type.Object({
  type: Type.Literal('output_text'),
  text: Type.String(),
  annotations: Type.Array(Type.Unknown()),
  logprobs: Type.Array(LogProb),
});
const ReasoningText = Type.Object({ type: Type.Literal('reasoning_text'), text: Type.String() });

const MessageItem = Type.Object({
  type: Type.Literal('message'),
  id: Type.String(),
  role: Type.Literal('assistant'),
  status: ItemStatus,
  content: Type.Array(OutputText),
});
export type MessageItem = Static<typeof MessageItem>;

const ReasoningItem = Type.Object({
  type: Type.Literal('reasoning'),
  id: Type.String(),
  summary: Type.Array(Type.Unknown()),
  content: Type.Array(ReasoningText),
  /** With `include: ["reasoning.encrypted_content"]`: the reasoning, for the next request. */
  encrypted_content: Type.Union([Type.String(), Type.Null()]),
  status: ItemStatus,
});
export type ReasoningItem = Static<typeof ReasoningItem>;

const callFields = {
  id: Type.String(),
  call_id: Type.String(),
  name: Type.String(),
  namespace: Type.Optional(Type.String()),
  status: ItemStatus,
};
const FunctionCallItem = Type.Object({
  type: Type.Literal('function_call'),
  ...callFields,
  arguments: Type.String(),
});
export type FunctionCallItem = Static<typeof FunctionCallItem>;
const CustomCallItem = Type.Object({
  type: Type.Literal('custom_tool_call'),
  ...callFields,
  input: Type.String(),
});
export type CustomCallItem = Static<typeof CustomCallItem>;

const OutputItem = Type.Union([MessageItem, ReasoningItem, FunctionCallItem, CustomCallItem]);
export type OutputItem = Static<typeof OutputItem>;

const ResponseUsage = Type.Object({
  input_tokens: Type.Integer(),
  input_tokens_details: Type.Object({
    cached_tokens: Type.Integer(),
    cache_write_tokens: Type.Integer(),
  }),
  output_tokens: Type.Integer(),
  output_tokens_details: Type.Object({ reasoning_tokens: Type.Integer() }),
  total_tokens: Type.Integer(),
});
export type ResponseUsage = Static<typeof ResponseUsage>;

const orNull = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()]);

/** The response, whole or within an event: always all fields. */
export const ResponseObject = Type.Object({
  id: Type.String(),
  object: Type.Literal('response'),
  created_at: Type.Integer(),
  completed_at: orNull(Type.Integer()),
  status: Type.Enum(['queued', 'in_progress', 'completed', 'incomplete', 'failed', 'cancelled']),
  incomplete_details: orNull(Type.Object({ reason: Type.Literal('max_output_tokens') })),
  model: Type.String(),
  previous_response_id: orNull(Type.String()),
  instructions: orNull(Type.String()),
  output: Type.Array(OutputItem),
  error: orNull(Type.Object({ code: Type.String(), message: Type.String() })),
  tools: Type.Array(Type.Unknown()),
  tool_choice: Type.Unknown(),
  truncation: Type.String(),
  parallel_tool_calls: Type.Boolean(),
  text: Type.Object({ format: Type.Unknown(), verbosity: Type.Optional(Type.Unknown()) }),
  top_p: Type.Number(),
  presence_penalty: Type.Number(),
  frequency_penalty: Type.Number(),
  top_logprobs: Type.Integer(),
  temperature: Type.Number(),
  reasoning: orNull(Type.Object({ effort: orNull(Type.String()), summary: orNull(Type.String()) })),
  user: orNull(Type.String()),
  usage: orNull(ResponseUsage),
  max_output_tokens: orNull(Type.Integer()),
  max_tool_calls: orNull(Type.Integer()),
  store: Type.Boolean(),
  background: Type.Boolean(),
  service_tier: Type.String(),
  metadata: Type.Object({}),
  safety_identifier: orNull(Type.String()),
  prompt_cache_key: orNull(Type.String()),
});
export type ResponseObject = Static<typeof ResponseObject>;

const ofItem = { item_id: Type.String(), output_index: Type.Integer() };
const ofPart = { ...ofItem, content_index: Type.Integer() };

/** Events that tell the state of the whole response. */
const StateEvent = Type.Object({
  type: Type.Enum([
    'response.created',
    'response.in_progress',
    'response.queued',
    'response.completed',
    'response.incomplete',
    'response.failed',
  ]),
  response: ResponseObject,
});

/** Events of an item. */
const ItemEvent = Type.Union([
  Type.Object({
    type: Type.Enum(['response.output_item.added', 'response.output_item.done']),
    output_index: Type.Integer(),
    item: OutputItem,
  }),
  Type.Object({
    type: Type.Enum(['response.content_part.added', 'response.content_part.done']),
    ...ofPart,
    part: Type.Union([OutputText, ReasoningText]),
  }),
  Type.Object({
    type: Type.Literal('response.output_text.delta'),
    ...ofPart,
    delta: Type.String(),
    logprobs: Type.Array(LogProb),
  }),
  Type.Object({
    type: Type.Literal('response.output_text.done'),
    ...ofPart,
    text: Type.String(),
    logprobs: Type.Array(LogProb),
  }),
  Type.Object({
    type: Type.Literal('response.reasoning_text.delta'),
    ...ofPart,
    delta: Type.String(),
  }),
  Type.Object({
    type: Type.Literal('response.reasoning_text.done'),
    ...ofPart,
    text: Type.String(),
  }),
  Type.Object({
    type: Type.Literal('response.function_call_arguments.delta'),
    ...ofItem,
    delta: Type.String(),
  }),
  Type.Object({
    type: Type.Literal('response.function_call_arguments.done'),
    ...ofItem,
    name: Type.String(),
    arguments: Type.String(),
  }),
  Type.Object({
    type: Type.Literal('response.custom_tool_call_input.delta'),
    ...ofItem,
    delta: Type.String(),
  }),
  Type.Object({
    type: Type.Literal('response.custom_tool_call_input.done'),
    ...ofItem,
    input: Type.String(),
  }),
]);
export type ItemEvent = Static<typeof ItemEvent>;

/** An event without its place in the stream. */
export type UnnumberedEvent = Static<typeof StateEvent> | ItemEvent;

/** One event of a stream; `event:` names its type. */
export const ResponseStreamEvent = Type.Intersect([
  Type.Union([StateEvent, ItemEvent]),
  Type.Object({ sequence_number: Type.Integer() }),
]);
export type ResponseStreamEvent = Static<typeof ResponseStreamEvent>;
