/** The objects of Anthropic's Messages API. */
import { type Static, Type } from 'typebox';
import { documented } from '../../core/route-doc.ts';
import { generationFields } from '../fields/generation-fields.ts';
import { optional } from '../fields/optional.ts';
import { samplingFields } from '../fields/sampling.ts';
import { stopFields } from '../fields/stops.ts';

/** A block of a content. `message-turns.ts` checks which fields a type needs. */
const RequestBlock = Type.Object({
  type: Type.String(
    documented({
      enum: [
        ...['text', 'thinking', 'redacted_thinking', 'tool_use', 'tool_result'],
        ...['document', 'search_result'],
      ],
    }),
  ),
  text: optional(Type.String()),
  thinking: optional(Type.String()),
  signature: optional(Type.String()),
  id: optional(Type.String()),
  name: optional(Type.String()),
  input: Type.Optional(Type.Unknown()),
  tool_use_id: optional(Type.String()),
  is_error: optional(Type.Boolean()),
  /** The result of a tool: a text, or blocks. */
  content: Type.Optional(Type.Unknown()),
  source: Type.Optional(Type.Unknown()),
  title: optional(Type.String()),
  context: optional(Type.String()),
  tool_name: optional(Type.String()),
});
export type RequestBlock = Static<typeof RequestBlock>;

const RequestTurn = Type.Object({
  role: Type.Enum(['user', 'assistant', 'system']),
  content: Type.Unsafe<string | RequestBlock[]>({
    type: ['string', 'array'],
    items: RequestBlock,
  }),
});
export type RequestTurn = Static<typeof RequestTurn>;

/** A text, or blocks of text. */
const System = Type.Unsafe<string | RequestBlock[] | null>({
  type: ['string', 'array', 'null'],
  items: RequestBlock,
});

const MessageTool = Type.Object({
  /** `custom` by default; Anthropic's own tools have types with dates. */
  type: optional(Type.String()),
  name: optional(Type.String({ pattern: '^[a-zA-Z0-9_.:/@-]{1,128}$' })),
  description: optional(Type.String()),
  input_schema: optional(Type.Object({})),
  input_examples: optional(Type.Array(Type.Object({}))),
  strict: optional(Type.Boolean()),
});
export type MessageTool = Static<typeof MessageTool>;

const MessageToolChoice = Type.Object({
  type: Type.String(documented({ enum: ['auto', 'any', 'tool', 'none'] })),
  name: optional(Type.String()),
  disable_parallel_tool_use: optional(Type.Boolean()),
});

const Thinking = Type.Object({
  type: Type.String(documented({ enum: ['enabled', 'disabled', 'adaptive', 'between_tools'] })),
  budget_tokens: optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 })),
  /** `omitted`, or any other word for the whole text. */
  display: optional(Type.String()),
});

const OutputFormat = Type.Object({
  type: Type.String(documented({ enum: ['json_schema'] })),
  schema: optional(Type.Object({})),
});

/** The fields that a prompt is made of. */
const promptFields = {
  model: optional(Type.String()),
  messages: Type.Array(RequestTurn, { minItems: 1 }),
  system: Type.Optional(System),
  tools: optional(Type.Array(MessageTool)),
  tool_choice: optional(MessageToolChoice),
  thinking: optional(Thinking),
  output_config: optional(
    Type.Object({
      effort: optional(Type.String({ maxLength: 64 })),
      format: optional(OutputFormat),
    }),
  ),
  /** The older name of `output_config.format`. */
  output_format: optional(OutputFormat),
  chat_template_kwargs: optional(Type.Object({})),
};

/** Fields without an effect on the reply; each says why. */
const effectless = {
  cache_control: Type.Optional(
    Type.Unknown({ description: 'Prefixes are cached without being asked for it.' }),
  ),
  container: Type.Optional(Type.Null({ description: 'There are no containers.' })),
  context_management: Type.Optional(
    Type.Unknown({ description: 'The history is computed as it is sent.' }),
  ),
  diagnostics: Type.Optional(Type.Unknown({ description: 'The reply has none.' })),
  inference_geo: optional(Type.String({ description: 'The model runs where the server does.' })),
  mcp_servers: optional(
    Type.Array(Type.Unknown(), {
      maxItems: 0,
      description: 'The server calls no tools itself; offer them in `tools`.',
    }),
  ),
  metadata: optional(Type.Object({}, { description: 'Usage belongs to the API key.' })),
  speed: optional(Type.String({ description: 'There is one speed.' })),
  user_profile_id: optional(Type.String({ description: 'Usage belongs to the API key.' })),
  workspace_id: optional(Type.String({ description: 'Usage belongs to the API key.' })),
};

export const MessageRequest = Type.Object({
  ...promptFields,
  max_tokens: optional(
    Type.Integer({
      minimum: 0,
      description:
        'Maximum completion tokens; more than the context has room for means until it is full. Default: as for chats.',
    }),
  ),
  stop_sequences: stopFields.stop_sequences,
  stream: generationFields.stream,
  service_tier: generationFields.service_tier,
  priority: generationFields.priority,
  cache_salt: generationFields.cache_salt,
  ...samplingFields,
  ...effectless,
});
export type MessageRequest = Static<typeof MessageRequest>;

const TextBlock = Type.Object({
  type: Type.Literal('text'),
  text: Type.String(),
  citations: Type.Null(),
});
const ThinkingBlock = Type.Object({
  type: Type.Literal('thinking'),
  thinking: Type.String(),
  /** Sent back with the block; it holds the thinking where `display` is `omitted`. */
  signature: Type.String(),
});
const ToolUseBlock = Type.Object({
  type: Type.Literal('tool_use'),
  id: Type.String(),
  name: Type.String(),
  input: Type.Unknown(),
  caller: Type.Object({ type: Type.Literal('direct') }),
});
const ReplyBlock = Type.Union([TextBlock, ThinkingBlock, ToolUseBlock]);
export type ReplyBlock = Static<typeof ReplyBlock>;

const OutputTokensDetails = Type.Object({ thinking_tokens: Type.Integer() });

const usageCounts = {
  /** Without the tokens that came from the cache. */
  input_tokens: Type.Integer(),
  cache_creation_input_tokens: Type.Integer(),
  cache_read_input_tokens: Type.Integer(),
  output_tokens: Type.Integer(),
  output_tokens_details: OutputTokensDetails,
  server_tool_use: Type.Null(),
};

const MessageUsage = Type.Object({
  ...usageCounts,
  cache_creation: Type.Null(),
  inference_geo: Type.Null(),
  service_tier: Type.Literal('standard'),
  speed: Type.Null(),
});
export type MessageUsage = Static<typeof MessageUsage>;

const StopReason = Type.Enum([
  ...['end_turn', 'max_tokens', 'stop_sequence', 'tool_use'],
  'model_context_window_exceeded',
]);
export type StopReason =
  | 'end_turn'
  | 'max_tokens'
  | 'stop_sequence'
  | 'tool_use'
  | 'model_context_window_exceeded';

const stopFieldsOfReply = {
  stop_reason: Type.Union([StopReason, Type.Null()]),
  /** The stop sequence that ended the reply. */
  stop_sequence: Type.Union([Type.String(), Type.Null()]),
  stop_details: Type.Null(),
  container: Type.Null(),
};

/** The reply to a request that does not stream. */
export const Message = Type.Object({
  id: Type.String(),
  type: Type.Literal('message'),
  role: Type.Literal('assistant'),
  model: Type.String(),
  content: Type.Array(ReplyBlock),
  ...stopFieldsOfReply,
  diagnostics: Type.Null(),
  usage: MessageUsage,
});
export type Message = Static<typeof Message>;

const BlockDelta = Type.Union([
  Type.Object({ type: Type.Literal('text_delta'), text: Type.String() }),
  Type.Object({ type: Type.Literal('thinking_delta'), thinking: Type.String() }),
  Type.Object({ type: Type.Literal('signature_delta'), signature: Type.String() }),
  Type.Object({ type: Type.Literal('input_json_delta'), partial_json: Type.String() }),
]);

const BlockStart = Type.Object({
  type: Type.Literal('content_block_start'),
  index: Type.Integer(),
  content_block: ReplyBlock,
});
const BlockChange = Type.Object({
  type: Type.Literal('content_block_delta'),
  index: Type.Integer(),
  delta: BlockDelta,
});
const BlockStop = Type.Object({
  type: Type.Literal('content_block_stop'),
  index: Type.Integer(),
});
export type BlockEvent =
  | Static<typeof BlockStart>
  | Static<typeof BlockChange>
  | Static<typeof BlockStop>;

/** One event of a stream; `event:` names its type. */
export const MessageStreamEvent = Type.Union([
  Type.Object({ type: Type.Literal('message_start'), message: Message }),
  BlockStart,
  BlockChange,
  BlockStop,
  Type.Object({
    type: Type.Literal('message_delta'),
    delta: Type.Object(stopFieldsOfReply),
    /** Of the whole reply. */
    usage: Type.Object(usageCounts),
  }),
  Type.Object({ type: Type.Literal('message_stop') }),
  Type.Object({ type: Type.Literal('ping') }),
]);
export type MessageStreamEvent = Static<typeof MessageStreamEvent>;

/** The tokens of a prompt. */
export const MessageTokensCount = Type.Object({ input_tokens: Type.Integer() });
export type MessageTokensCount = Static<typeof MessageTokensCount>;
