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
  conversation: [],
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
  n_indent: [0],
  post_sampling_probs: [false],
  system_prompt: [''],
  // Ollama
  context: [[]],
  images: [[]],
  raw: [false],
  template: [''],
  tfs_z: [1],
  // Honoured in chats only
  chat_template_kwargs: [{}, { enable_thinking: false }, { thinking: false }],
  enable_thinking: [false],
  function_call: ['none', 'auto'],
  functions: [[]],
  include_reasoning: [true, false],
  parallel_tool_calls: [true, false],
  reasoning: [{ effort: 'none' }, { enabled: false }],
  reasoning_budget: [-1],
  reasoning_budget_tokens: [-1],
  reasoning_effort: ['none'],
  reasoning_format: ['auto', 'deepseek', 'parsed', 'none', 'raw', 'hidden'],
  separate_reasoning: [true, false],
  system: [''],
  think: [false],
  thinking: [false, { type: 'disabled' }],
  thinking_budget: [-1],
  thinking_budget_tokens: [-1],
  thinking_token_budget: [-1],
  top_logprobs: [0],
  tool_choice: ['none', 'auto'],
  tools: [[]],
  // Of vectors
  embd_normalize: [2],
  normalize: [true],
  prompt_name: [],
  // vLLM, SGLang, OpenRouter and others
  add_special_tokens: [true, false],
  best_of: [1],
  custom_logit_processor: [],
  echo: [false],
  documents: [[]],
  guided_whitespace_pattern: [],
  logits_processors: [[]],
  repetition_detection: [],
  return_hidden_states: [false],
  stop_regex: [[]],
  structural_tag: [],
  top_a: [0],
  transforms: [[]],
  truncate_prompt_tokens: [-1],
  use_beam_search: [false],
};

/** Fields without an effect on the result; they are not logged. */
const harmlessFields: ReadonlySet<string> = new Set([
  // Of chats: no other prompt has messages.
  'add_generation_prompt',
  'continue_final_message',
  // Of the search over beams, which is refused.
  'early_stopping',
  'length_penalty',
  // No vocabulary in a GGUF file has tokens that stand apart.
  'spaces_between_special_tokens',
  // Another engine's choice of means.
  'guided_decoding_backend',
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
