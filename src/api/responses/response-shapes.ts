/** The request of OpenAI's Responses API. */
import { type Static, Type } from 'typebox';
import { documented } from '../../core/route-doc.ts';
import { generationFields } from '../fields/generation-fields.ts';
import { optional } from '../fields/optional.ts';
import { samplingFields } from '../fields/sampling.ts';
import { stopFields } from '../fields/stops.ts';
import { tokenLimitFields } from '../fields/token-limit.ts';

/** An item of a conversation. `response-input.ts` checks which fields a type needs. */
const InputItem = Type.Object({
  /** `message` by default; items of other servers' tools are skipped. */
  type: optional(Type.String()),
  id: optional(Type.String()),
  /** Of a message. */
  role: optional(Type.String()),
  /** A text, or parts. */
  content: Type.Optional(Type.Unknown()),
  /** Of calls and their outputs. */
  call_id: optional(Type.String()),
  name: optional(Type.String()),
  namespace: optional(Type.String()),
  arguments: Type.Optional(Type.Unknown()),
  input: optional(Type.String()),
  output: Type.Optional(Type.Unknown()),
  /** Of reasoning. */
  summary: Type.Optional(Type.Unknown()),
  encrypted_content: optional(Type.String()),
  /** Of additional tools; other items have a field of this name, too. */
  tools: Type.Optional(Type.Unknown()),
});
export type InputItem = Static<typeof InputItem>;

const toolFields = {
  /** `function`, `custom` or `namespace`; tools of other servers are left out. */
  type: Type.String(),
  name: optional(Type.String({ pattern: '^[a-zA-Z0-9_.:/@-]{1,128}$' })),
  description: optional(Type.String()),
  /** Of a function. */
  parameters: optional(Type.Object({})),
  strict: optional(Type.Boolean()),
  /** Of a custom tool: what its text follows. */
  format: optional(
    Type.Object({
      /** `text` or `grammar`. */
      type: Type.String(),
      /** Of a grammar: `lark` or `regex`. */
      syntax: optional(Type.String()),
      definition: optional(Type.String()),
    }),
  ),
};

export const ResponseTool = Type.Object({
  ...toolFields,
  /** Of a namespace. */
  tools: optional(Type.Array(Type.Object(toolFields))),
});
export type ResponseTool = Static<typeof ResponseTool>;

const TextFormat = Type.Object({
  type: Type.String(documented({ enum: ['text', 'json_object', 'json_schema'] })),
  name: optional(Type.String()),
  description: optional(Type.String()),
  schema: optional(Type.Object({})),
  strict: optional(Type.Boolean()),
});

/** A mode, or an object that `response-tools.ts` reads. */
export type ResponseToolChoice = string | { readonly [key: string]: unknown };

/** The fields that a prompt is made of. */
const promptFields = {
  model: optional(Type.String()),
  input: Type.Optional(
    Type.Unsafe<string | InputItem[] | null>({
      type: ['string', 'array', 'null'],
      items: InputItem,
    }),
  ),
  instructions: optional(Type.String()),
  tools: optional(Type.Array(ResponseTool)),
  tool_choice: Type.Optional(
    Type.Unsafe<ResponseToolChoice | null>({ type: ['string', 'object', 'null'] }),
  ),
  parallel_tool_calls: optional(Type.Boolean()),
  text: optional(
    Type.Object({
      format: optional(TextFormat),
      verbosity: optional(Type.String({ description: 'A hint without an effect.' })),
    }),
  ),
  reasoning: optional(
    Type.Object({
      effort: optional(Type.String({ maxLength: 64 })),
      summary: optional(
        Type.String({ description: 'The reasoning itself is returned, not a summary of it.' }),
      ),
    }),
  ),
  truncation: Type.Optional(
    Type.Unsafe<'auto' | 'disabled' | null>({
      type: ['string', 'null'],
      enum: ['auto', 'disabled', null],
      description:
        '`auto`: the oldest turns are left out where the conversation does not fit the context.',
    }),
  ),
  chat_template_kwargs: optional(Type.Object({})),
  previous_response_id: optional(Type.String()),
};

/** Fields that come back in the response, or are without an effect; each says why. */
const effectless = {
  metadata: optional(Type.Object({}, { description: 'Comes back in the response.' })),
  user: optional(Type.String({ description: 'Comes back in the response.' })),
  safety_identifier: optional(Type.String({ description: 'Comes back in the response.' })),
  prompt_cache_key: optional(
    Type.String({ description: 'Comes back; prefixes are found without it.' }),
  ),
  prompt_cache_retention: optional(
    Type.String({ description: 'Prefixes stay while there is room.' }),
  ),
  prompt_cache_options: Type.Optional(
    Type.Unknown({ description: 'Prefixes are cached without being asked for it.' }),
  ),
  max_tool_calls: optional(
    Type.Integer({ description: 'Counts calls of tools that the server runs; there are none.' }),
  ),
  context_management: Type.Optional(
    Type.Unknown({ description: 'The conversation is computed as it is sent.' }),
  ),
  moderation: Type.Optional(Type.Unknown({ description: 'Nothing is moderated.' })),
  client_metadata: Type.Optional(Type.Unknown({ description: 'Of Codex; not read.' })),
  stream_options: optional(
    Type.Object({
      include_obfuscation: optional(Type.Boolean({ description: 'Events have no padding.' })),
    }),
  ),
};

export const ResponseRequest = Type.Object({
  ...promptFields,
  max_output_tokens: tokenLimitFields.max_output_tokens,
  top_logprobs: optional(Type.Integer({ minimum: 0, maximum: 20 })),
  include: optional(
    Type.Array(Type.String(), {
      description:
        '`reasoning.encrypted_content` and `message.output_text.logprobs` add these to the items; others concern tools that the server does not run.',
    }),
  ),
  store: optional(Type.Boolean()),
  background: optional(Type.Boolean()),
  stream: generationFields.stream,
  service_tier: generationFields.service_tier,
  priority: generationFields.priority,
  cache_salt: generationFields.cache_salt,
  ...samplingFields,
  ...stopFields,
  ...effectless,
});
export type ResponseRequest = Static<typeof ResponseRequest>;
