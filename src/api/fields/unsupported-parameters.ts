import { isDeepStrictEqual } from 'node:util';
import { GatewayError } from '../../core/errors.ts';

/**
 * Fields that change the completion and are not honoured everywhere, each with the values that ask for
 * nothing. Those, and null, are accepted: clients send defaults along. Anything else is refused, so that nobody
 * takes an answer for what it is not.
 */
const neutralValues: Readonly<Record<string, readonly unknown[]>> = {
  // OpenAI
  audio: [],
  function_call: ['none', 'auto'],
  functions: [[]],
  modalities: [['text']],
  prediction: [],
  verbosity: ['medium'],
  web_search_options: [],
  // llama-server
  chat_template: [],
  grammar_lazy: [false],
  grammar_triggers: [[]],
  lora: [[]],
  min_keep: [0],
  n_probs: [0],
  reasoning_format: [],
  // Of chats only
  chat_template_kwargs: [{}],
  grammar: [''],
  json_schema: [],
  parallel_tool_calls: [true, false],
  reasoning_effort: ['none'],
  response_format: [{ type: 'text' }],
  thinking_budget_tokens: [],
  top_logprobs: [0],
  tool_choice: ['none', 'auto'],
  tools: [[]],
  // vLLM and others
  add_generation_prompt: [true],
  allowed_token_ids: [],
  bad_words: [[]],
  best_of: [1],
  continue_final_message: [false],
  echo: [false],
  guided_choice: [],
  guided_grammar: [],
  guided_json: [],
  guided_regex: [],
  min_tokens: [0],
  prompt_logprobs: [],
  skip_special_tokens: [true],
  stop_token_ids: [[]],
  structured_outputs: [],
  use_beam_search: [false],
};

/** Fields that change nothing here, so that they are no surprise in the log. */
const harmlessFields: ReadonlySet<string> = new Set([
  'cache_prompt',
  'metadata',
  'moderation',
  'prompt_cache_key',
  'prompt_cache_options',
  'prompt_cache_retention',
  'safety_identifier',
  'service_tier',
  'store',
  'user',
]);

/**
 * @param honoured - the properties of the endpoint's schema; another may refuse them
 * @throws {GatewayError} `unsupported_parameter` for the first field that asks for something
 */
export function refuseUnsupported(body: object, honoured: object): void {
  for (const [name, value] of Object.entries(body)) {
    if (Object.hasOwn(honoured, name)) continue;
    const neutral = Object.hasOwn(neutralValues, name) ? neutralValues[name] : undefined;
    if (neutral === undefined || value === null) continue;
    if (neutral.some((accepted) => isDeepStrictEqual(accepted, value))) continue;
    const choices = neutral.map((accepted) => ` or send ${JSON.stringify(accepted)}`).join('');
    throw new GatewayError('unsupported_parameter', {
      param: name,
      message: `\`${name}\` is not supported; leave it out${choices}.`,
    });
  }
}

/** Names in the body that nothing here knows; they are ignored. */
export function unknownFields(body: object, known: object): string[] {
  return Object.keys(body).filter(
    (name) =>
      !Object.hasOwn(known, name) &&
      !Object.hasOwn(neutralValues, name) &&
      !harmlessFields.has(name),
  );
}
