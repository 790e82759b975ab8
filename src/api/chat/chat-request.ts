import { GatewayError } from '../../core/errors.ts';
import type { ChatMessage, ChatOptions } from '../../engine/chat.ts';
import type { LogprobOptions } from '../../engine/logprobs.ts';
import { type GenerationRequest, readGeneration } from '../fields/generation-request.ts';
import { checkDepth, unsupported } from '../fields/request-errors.ts';
import { refuseUnsupported } from '../fields/unsupported-parameters.ts';
import { readMessages } from './chat-messages.ts';
import { ChatCompletionRequest } from './chat-shapes.ts';
import { readTools } from './chat-tools.ts';
import { readReplyFormat } from './reply-format.ts';

/** A chat request in the engine's words. */
export interface ChatRequest extends GenerationRequest {
  readonly messages: readonly ChatMessage[];
  readonly chat: ChatOptions;
}

/** Template variables that are the request itself. */
const reservedVariables = ['messages', 'tools', 'bos_token', 'eos_token', 'add_generation_prompt'];

/**
 * Reads a body that fits the schema, and applies the rules a schema cannot say.
 * @throws {GatewayError} `unsupported_parameter`, `invalid_value`, `missing_required_parameter`
 */
export function readChatRequest(body: ChatCompletionRequest): ChatRequest {
  refuseUnsupported(body, ChatCompletionRequest.properties);
  const tools = readTools(body);
  const offersCalls = tools.tools !== undefined && tools.toolChoice !== 'none';
  const generation = readGeneration(body);
  const logprobs = readLogprobs(body);
  return {
    ...generation,
    options: { ...generation.options, ...(logprobs && { logprobs }) },
    messages: readMessages(body.messages),
    chat: { ...tools, ...readReplyFormat(body, offersCalls), ...readThinking(body) },
  };
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

/** An effort also reaches the templates that know one; `enable_thinking` decides where both are sent. */
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
