import { contextLengthExceeded } from '../../core/context-overflow.ts';
import { GatewayError } from '../../core/errors.ts';
import type { ChatMessage } from '../../engine/chat.ts';
import { beginRequest } from '../fields/begin-request.ts';
import { type ParsedRequest, readGenerationFields } from '../fields/generation-fields.ts';
import { logprobOptions } from '../fields/reply-extras.ts';
import { readReplyFormat } from '../fields/reply-format.ts';
import type { BodyRequest } from '../fields/request-problems.ts';
import { type ModelChoice, requireServable, type TextModel } from '../fields/served-model.ts';
import type { ChatSource } from '../generation/prompt.ts';
import { readEnding } from './chat-ending.ts';
import { readMessages } from './chat-messages.ts';
import { type ReasoningPlace, readReasoning } from './chat-reasoning.ts';
import { ChatCompletionRequest } from './chat-shapes.ts';
import { offeredTools, readTools } from './chat-tools.ts';

/** A chat request whose body is validated and normalised. */
export interface ParsedChat extends ParsedRequest {
  readonly prompts: readonly [ChatSource];
  /** Include the log probabilities of each choice's tokens. */
  readonly withLogprobs: boolean;
  /** The beginning of each choice's content: nothing, or the last message. */
  readonly echo: string;
  readonly reasoningPlace: ReasoningPlace;
  /** The request has fields of clients that read `reasoning` instead of `reasoning_content`. */
  readonly wantsReasoningField: boolean;
  /** The request has `functions` instead of `tools`: its calls have OpenAI's older form. */
  readonly callsFunctions: boolean;
}

/** The fields that offer calls. */
const callFields = ['tools', 'tool_choice', 'parallel_tool_calls', 'functions', 'function_call'];

/**
 * Chooses the model, reads the body and applies the rules that a schema cannot express, all of them before anything is
 * refused.
 * @throws {GatewayError} what `chooseTextModel` throws; `unsupported_parameter`, `invalid_value`,
 *   `missing_required_parameter`
 */
export async function readChat(
  request: BodyRequest<ChatCompletionRequest>,
  choice: ModelChoice,
): Promise<{ readonly parsed: ParsedChat; readonly model: TextModel }> {
  const { problems, body, model } = beginRequest(request, choice, ChatCompletionRequest.properties);
  problems.essential(() => requireRoom(request.body.messages, model));
  const messages = problems.read(['messages'], [], () => readMessages(body.messages, problems));
  const allTools = await readTools(body, problems);
  const tools = problems.read(callFields, {}, () => offeredTools(body, allTools));
  const offersCalls = tools.tools !== undefined && tools.toolChoice !== 'none';
  if (offersCalls && !model.engine.info.chat.tools) problems.add(noPlaceForTools());
  const format = problems.attempt({}, () => readReplyFormat(body, offersCalls));
  const ending = problems.read(['messages'], {}, () => readEnding(body, messages));
  const reasoning = readReasoning(body, problems);
  const topCount = problems.read(['logprobs', 'top_logprobs'], undefined, () => readLogprobs(body));
  const generation = readGenerationFields(body, problems);
  const { extras } = generation;
  const last = messages.at(-1);
  const parsed: ParsedChat = {
    ...generation,
    options: { ...generation.options, ...logprobOptions(topCount, extras.promptLogprobCount) },
    extras: { ...extras, tokenForm: { ...extras.tokenForm, topCount: topCount ?? 0 } },
    prompts: [
      {
        type: 'chat',
        messages: [...systemMessages(body), ...messages],
        options: { ...tools, ...format, ...reasoning.options, ...ending },
      },
    ],
    withLogprobs: topCount !== undefined,
    echo: body.echo && last?.role === 'assistant' ? last.content : '',
    reasoningPlace: reasoning.place,
    wantsReasoningField: reasoning.wantsReasoningField,
    callsFunctions: body.functions != null && body.functions.length > 0,
  };
  requireServable(parsed, model, problems);
  problems.throwIfAny();
  return { parsed, model };
}

/**
 * Every message takes a token at least: what can never fit is not rendered.
 * @param param - the field of the messages
 * @throws {GatewayError} `context_length_exceeded`
 */
export function requireRoom(messages: unknown, { engine }: TextModel, param = 'messages'): void {
  const { contextLength } = engine.info;
  if (!Array.isArray(messages) || messages.length <= contextLength) return;
  throw contextLengthExceeded(param, { tokenCount: messages.length, contextLength });
}

/** The message of the field `system`. */
function systemMessages({ system }: ChatCompletionRequest): ChatMessage[] {
  const content = typeof system === 'string' ? system : system?.map(({ text }) => text).join('\n');
  return content === undefined || content === '' ? [] : [{ role: 'system', content }];
}

export function noPlaceForTools(): GatewayError {
  return new GatewayError('unsupported_parameter', {
    param: 'tools',
    message: '`tools` is not supported by this model: its chat template has no place for them.',
  });
}

/** @returns the number of likeliest tokens at each position; undefined without log probabilities */
function readLogprobs(body: ChatCompletionRequest): number | undefined {
  const topCount = body.top_logprobs ?? 0;
  // llama-server's name asks for log probabilities by itself.
  const probCount = body.n_probs ?? 0;
  if (body.logprobs) return body.top_logprobs ?? probCount;
  if (probCount > 0 && body.logprobs == null) return probCount;
  if (topCount === 0) return undefined;
  throw new GatewayError('invalid_value', {
    param: 'top_logprobs',
    message: '`top_logprobs` may only be sent together with `logprobs: true`.',
  });
}
