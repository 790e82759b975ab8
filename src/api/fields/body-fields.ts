import { isDeepStrictEqual } from 'node:util';
import { GatewayError } from '../../core/errors.ts';
import type { BodyRequest, RequestProblems } from './request-problems.ts';

/**
 * Fields that would change the result and are not honoured by every endpoint, each with its neutral values. Neutral
 * values and null are accepted, because clients send their defaults. Every other value is refused, so that no client
 * mistakes the result for what it asked for.
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
  // Honoured in chats only
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

/** Fields without an effect on the result; they are not logged. */
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
 * Looks at every field of a body that its endpoint does not honour: a field that would change the result is a problem,
 * `unsupported_parameter`; the names of unknown fields, which are ignored, are logged.
 * @param honoured - the properties of the endpoint's schema
 */
export function checkBodyFields(
  { body, log }: BodyRequest<object>,
  honoured: object,
  problems: RequestProblems,
): void {
  const unknown: string[] = [];
  for (const [name, value] of Object.entries(body)) {
    if (Object.hasOwn(honoured, name) || harmlessFields.has(name)) continue;
    if (!Object.hasOwn(neutralValues, name)) unknown.push(name);
    else problems.attempt(undefined, () => refuseUnlessNeutral(name, value));
  }
  if (unknown.length > 0) log.debug({ fields: unknown }, 'unknown fields ignored');
}

function refuseUnlessNeutral(name: string, value: unknown): void {
  const neutral = neutralValues[name] ?? [];
  if (value === null || neutral.some((accepted) => isDeepStrictEqual(accepted, value))) return;
  const choices = neutral.map((accepted) => ` or send ${JSON.stringify(accepted)}`).join('');
  throw new GatewayError('unsupported_parameter', {
    param: name,
    message: `\`${name}\` is not supported; leave it out${choices}.`,
  });
}
