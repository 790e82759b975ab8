import type { ReplyFormat } from '../../engine/chat.ts';
import { readReasoning } from '../chat/chat-reasoning.ts';
import { noPlaceForTools, requireRoom } from '../chat/chat-request.ts';
import { beginRequest } from '../fields/begin-request.ts';
import { type ParsedRequest, readGenerationFields } from '../fields/generation-fields.ts';
import { readSchema } from '../fields/reply-format.ts';
import { missing, unsupported } from '../fields/request-errors.ts';
import type { BodyRequest } from '../fields/request-problems.ts';
import { type ModelChoice, requireServable, type TextModel } from '../fields/served-model.ts';
import type { ChatSource } from '../generation/prompt.ts';
import { MessageRequest } from './message-shapes.ts';
import { readMessageTools } from './message-tools.ts';
import { readTurns } from './message-turns.ts';

/** A request for a message whose body is validated and normalised. */
export interface ParsedMessage extends ParsedRequest {
  readonly prompts: readonly [ChatSource];
  /** Thinking blocks have no text: their signature holds it. */
  readonly omitsThinking: boolean;
}

/**
 * Chooses the model, reads the body and applies the rules that a schema cannot express, all of them before anything is
 * refused.
 * @throws {GatewayError} what `chooseTextModel` throws; `unsupported_parameter`, `invalid_value`,
 *   `missing_required_parameter`
 */
export async function readMessage(
  request: BodyRequest<MessageRequest>,
  choice: ModelChoice,
): Promise<{ readonly parsed: ParsedMessage; readonly model: TextModel }> {
  const { problems, body, model } = beginRequest(request, choice, MessageRequest.properties);
  problems.essential(() => requireRoom(request.body.messages, model));
  const messages = problems.read(['messages'], [], () => readTurns(body, problems));
  const tools = await readMessageTools(body, problems, request.log);
  const offersCalls = tools.tools !== undefined && tools.toolChoice !== 'none';
  if (offersCalls && !model.engine.info.chat.tools) problems.add(noPlaceForTools());
  const format = problems.read(['output_config', 'output_format'], {}, () => readFormat(body));
  const { options: reasoning } = readReasoning(reasoningOf(body), problems);
  const generation = readGenerationFields(body, problems);
  const parsed: ParsedMessage = {
    ...generation,
    // The first event of a stream has the tokens that came from the cache.
    options: { ...generation.options, reportProgress: generation.stream },
    prompts: [
      {
        ...{ type: 'chat', messages, formatField: 'output_config.format' },
        options: { ...tools, ...format, ...reasoning },
      },
    ],
    omitsThinking: body.thinking?.display === 'omitted',
  };
  requireServable(parsed, model, problems);
  problems.throwIfAny();
  return { parsed, model };
}

/** Without a word about thinking a reply has none, as in Anthropic's API. */
function reasoningOf({ thinking, output_config: output, chat_template_kwargs }: MessageRequest) {
  const isBetweenTools = thinking?.type === 'between_tools';
  return {
    thinking: isBetweenTools
      ? { ...thinking, type: 'adaptive' }
      : (thinking ?? { type: 'disabled' }),
    reasoning_effort: thinking?.type === 'disabled' ? null : (output?.effort ?? null),
    chat_template_kwargs: chat_template_kwargs ?? null,
  };
}

function readFormat({ output_config: output, output_format: older }: MessageRequest): ReplyFormat {
  const format = output?.format ?? older;
  if (format == null) return {};
  const param = output?.format == null ? 'output_format' : 'output_config.format';
  if (format.type !== 'json_schema') {
    throw unsupported(
      `${param}.type`,
      `only \`json_schema\` is, received ${JSON.stringify(format.type.slice(0, 40))}`,
    );
  }
  if (format.schema == null) throw missing(`${param}.schema`);
  return { jsonSchema: readSchema(format.schema, `${param}.schema`, false) };
}
