import { isDeepStrictEqual } from 'node:util';
import { GatewayError } from '../../core/errors.ts';
import { ollamaOptions } from './ollama-options.ts';
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
  input: [''],
  instructions: [''],
  messages: [[]],
  modalities: [['text']],
  prompt: [''],
  suffix: [''],
  web_search_options: [],
  // llama-server
  chat_template: [],
  grammar_lazy: [false],
  grammar_triggers: [[]],
  lora: [[]],
  min_keep: [0],
  n_probs: [0],
  reasoning_format: [],
  system_prompt: [''],
  // Ollama
  context: [[]],
  images: [[]],
  raw: [false],
  template: [''],
  tfs_z: [1],
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
  // vLLM, OpenRouter and others
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
  documents: [[]],
  prompt_logprobs: [],
  skip_special_tokens: [true],
  stop_token_ids: [[]],
  structured_outputs: [],
  top_a: [0],
  transforms: [[]],
  truncate_prompt_tokens: [],
  use_beam_search: [false],
};

/** Fields without an effect on the result; they are not logged. */
const harmlessFields: ReadonlySet<string> = new Set([
  'cache_prompt',
  'metadata',
  'moderation',
  'prediction',
  'prompt_cache_key',
  'prompt_cache_options',
  'prompt_cache_retention',
  'safety_identifier',
  'service_tier',
  'store',
  'user',
  'verbosity',
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
  const unknown = [
    ...checkFields(body, { honoured, path: '' }, problems),
    ...checkOptions(body, honoured, problems),
  ];
  if (unknown.length > 0) log.debug({ fields: unknown }, 'unknown fields ignored');
}

/** Ollama's options are fields, too. */
function checkOptions(body: object, honoured: object, problems: RequestProblems): string[] {
  const { options } = body as { readonly options?: unknown };
  const isRead = Object.hasOwn(honoured, 'options') && !problems.concerns('options');
  if (!isRead || typeof options !== 'object' || options === null) return [];
  return checkFields(options, { honoured: ollamaOptions, path: 'options.' }, problems);
}

/** @returns the paths of unknown fields */
function checkFields(
  fields: object,
  { honoured, path }: { readonly honoured: object; readonly path: string },
  problems: RequestProblems,
): string[] {
  return Object.entries(fields).flatMap(([name, value]) => {
    if (Object.hasOwn(honoured, name) || harmlessFields.has(name)) return [];
    if (!Object.hasOwn(neutralValues, name)) return [path + name];
    const neutral = neutralValues[name] ?? [];
    if (!isNeutral(value, neutral)) problems.add(notSupported(path + name, neutral));
    return [];
  });
}

function isNeutral(value: unknown, neutral: readonly unknown[]): boolean {
  return value === null || neutral.some((accepted) => isDeepStrictEqual(accepted, value));
}

function notSupported(param: string, neutral: readonly unknown[]): GatewayError {
  const choices = neutral.map((accepted) => ` or send ${JSON.stringify(accepted)}`).join('');
  return new GatewayError('unsupported_parameter', {
    param,
    message: `\`${param}\` is not supported; leave it out${choices}.`,
  });
}
