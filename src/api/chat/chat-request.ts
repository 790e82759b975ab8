import type { FastifyBaseLogger } from 'fastify';
import { GatewayError } from '../../core/errors.ts';
import type { ChatOptions } from '../../engine/chat.ts';
import type { LogprobOptions } from '../../engine/logprobs.ts';
import { checkBodyFields } from '../fields/body-fields.ts';
import { type ParsedRequest, readGenerationFields } from '../fields/generation-fields.ts';
import { checkDepth, unsupported } from '../fields/request-errors.ts';
import { chooseTextModel, type ModelChoice, type TextModel } from '../fields/served-model.ts';
import type { ChatSource } from '../generation/prompt.ts';
import { readMessages } from './chat-messages.ts';
import { ChatCompletionRequest } from './chat-shapes.ts';
import { readTools } from './chat-tools.ts';
import { readReplyFormat } from './reply-format.ts';

/** A chat request whose body is validated and normalised. */
export interface ParsedChat extends ParsedRequest {
  readonly prompts: readonly [ChatSource];
}

/** Template variables that are the request itself. */
const reservedVariables = ['messages', 'tools', 'bos_token', 'eos_token', 'add_generation_prompt'];

/**
 * Reads a body that fits the schema, applies the rules that a schema cannot express, and chooses the model.
 * @throws {GatewayError} `unsupported_parameter`, `invalid_value`, `missing_required_parameter`, and what
 *   `chooseTextModel` throws
 */
export function readChat(
  body: ChatCompletionRequest,
  choice: ModelChoice,
  log: FastifyBaseLogger,
): { readonly parsed: ParsedChat; readonly model: TextModel } {
  checkBodyFields(body, ChatCompletionRequest.properties, log);
  const tools = readTools(body);
  const offersCalls = tools.tools !== undefined && tools.toolChoice !== 'none';
  const generation = readGenerationFields(body);
  const logprobs = readLogprobs(body);
  const options = { ...tools, ...readReplyFormat(body, offersCalls), ...readThinking(body) };
  const parsed: ParsedChat = {
    ...generation,
    options: { ...generation.options, ...(logprobs && { logprobs }) },
    prompts: [{ type: 'chat', messages: readMessages(body.messages), options }],
  };
  const model = chooseTextModel(choice, parsed.model);
  if (offersCalls && !model.engine.info.chat.tools) throw noPlaceForTools();
  return { parsed, model };
}

function noPlaceForTools(): GatewayError {
  return new GatewayError('unsupported_parameter', {
    param: 'tools',
    message: '`tools` is not supported by this model: its chat template has no place for them.',
  });
}

function readLogprobs(body: ChatCompletionRequest): LogprobOptions | undefined {
  const topCount = body.top_logprobs ?? 0;
  if (body.logprobs) return { topCount, prompt: false };
  if (topCount === 0) return undefined;
  throw new GatewayError('invalid_value', {
    param: 'top_logprobs',
    message: '`top_logprobs` may only be sent together with `logprobs: true`.',
  });
}

/** The effort also reaches templates that have a variable for it; `enable_thinking` overrides it. */
function readThinking(
  body: ChatCompletionRequest,
): Pick<ChatOptions, 'thinking' | 'thinkingBudget' | 'templateArguments'> {
  const effort = body.reasoning_effort;
  const budget = body.thinking_budget_tokens;
  const { enable_thinking: given, ...others } = (body.chat_template_kwargs ?? {}) as {
    readonly [name: string]: unknown;
  };
  const enabled = given ?? undefined;
  if (enabled !== undefined && typeof enabled !== 'boolean') {
    throw new GatewayError('invalid_value', {
      param: 'chat_template_kwargs.enable_thinking',
      message: `\`chat_template_kwargs.enable_thinking\` must be a boolean, received ${JSON.stringify(enabled)}.`,
    });
  }
  const reserved = reservedVariables.find((name) => Object.hasOwn(others, name));
  if (reserved !== undefined) {
    throw unsupported(`chat_template_kwargs.${reserved}`, 'the server sets this variable itself');
  }
  checkDepth(others, 'chat_template_kwargs');
  const thinking = enabled ?? (effort == null ? undefined : effort !== 'none');
  const templateArguments = {
    ...(effort != null && effort !== 'none' && { reasoning_effort: effort }),
    ...others,
  };
  return {
    ...(thinking !== undefined && { thinking }),
    ...(budget != null && { thinkingBudget: budget }),
    ...(Object.keys(templateArguments).length > 0 && { templateArguments }),
  };
}
