import { GatewayError } from '../../core/errors.ts';
import type { ReplyFormat } from '../../engine/chat.ts';
import { readReasoning } from '../chat/chat-reasoning.ts';
import { noPlaceForTools, requireRoom } from '../chat/chat-request.ts';
import { beginRequest } from '../fields/begin-request.ts';
import { type ParsedRequest, readGenerationFields } from '../fields/generation-fields.ts';
import { logprobOptions } from '../fields/reply-extras.ts';
import { readSchema } from '../fields/reply-format.ts';
import { missing, unsupported } from '../fields/request-errors.ts';
import type { BodyRequest, RequestProblems } from '../fields/request-problems.ts';
import { type ModelChoice, requireServable, type TextModel } from '../fields/served-model.ts';
import type { ChatSource } from '../generation/prompt.ts';
import type { KeptContext } from './kept-context.ts';
import { readInput } from './response-input.ts';
import { ResponseRequest } from './response-shapes.ts';
import { type CallableTools, readResponseTools } from './response-tools.ts';

/** A request for a response whose body is validated and normalised. */
export interface ParsedResponse extends ParsedRequest {
  readonly prompts: readonly [ChatSource];
  /** Of the body, as the response repeats them. */
  readonly body: ResponseRequest;
  readonly callable: CallableTools;
  /** Text items have the log probabilities of their tokens. */
  readonly withLogprobs: boolean;
  /** Reasoning items have their text as `encrypted_content`, too. */
  readonly sealsReasoning: boolean;
}

/**
 * Chooses the model, reads the body and applies the rules that a schema cannot express, all of them before anything is
 * refused.
 * @param kept - what the request continues; undefined where the server keeps no responses
 * @throws {GatewayError} what `chooseTextModel` throws; `unsupported_parameter`, `invalid_value`,
 *   `missing_required_parameter`
 */
export async function readResponse(
  request: BodyRequest<ResponseRequest>,
  choice: ModelChoice,
  kept?: KeptContext,
): Promise<{ readonly parsed: ParsedResponse; readonly model: TextModel }> {
  const { problems, body, model } = beginRequest(request, choice, ResponseRequest.properties);
  if (body.truncation !== 'auto') {
    problems.essential(() => requireRoom(request.body.input, model, 'input'));
  }
  problems.attempt(undefined, () => requireInput(request.body));
  if (kept === undefined) refuseKept(body, problems);
  else checkBackground(body, problems);
  const context = kept ?? nothingKept;
  const messages = problems.read(['input'], [], () => readInput(body, context, problems));
  const { log } = request;
  const { options: tools, callable } = await readResponseTools(body, context, problems, log);
  const offersCalls = tools.tools !== undefined && tools.toolChoice !== 'none';
  if (offersCalls && !model.engine.info.chat.tools) problems.add(noPlaceForTools());
  const format = problems.read(['text'], {}, () => readFormat(body));
  const { options: reasoning } = readReasoning(
    {
      reasoning_effort: body.reasoning?.effort ?? null,
      chat_template_kwargs: body.chat_template_kwargs ?? null,
    },
    problems,
  );
  const generation = readGenerationFields(body, problems);
  const { include } = body;
  const topCount = body.top_logprobs ?? 0;
  const withLogprobs = topCount > 0 || include?.includes('message.output_text.logprobs') === true;
  const parsed: ParsedResponse = {
    ...generation,
    options: {
      ...generation.options,
      ...logprobOptions(withLogprobs ? topCount : undefined, undefined),
    },
    extras: { ...generation.extras, tokenForm: { asIds: false, topCount } },
    prompts: [
      {
        type: 'chat',
        field: 'input',
        formatField: 'text.format',
        messages,
        options: { ...tools, ...format, ...reasoning },
        ...(body.truncation === 'auto' && { truncates: true }),
      },
    ],
    body,
    callable,
    withLogprobs,
    sealsReasoning: include?.includes('reasoning.encrypted_content') === true,
  };
  requireServable(parsed, model, problems);
  problems.throwIfAny();
  return { parsed, model };
}

const nothingKept: KeptContext = { conversation: [], referenced: new Map() };

function requireInput(body: ResponseRequest): void {
  const { input, instructions, previous_response_id: previous } = body;
  const isEmpty = (text: string | null | undefined) => text == null || text === '';
  if (input == null && isEmpty(instructions) && isEmpty(previous)) throw missing('input');
  if (!Array.isArray(input) || input.length > 0) return;
  throw new GatewayError('invalid_value', {
    param: 'input',
    message: '`input` must be a text or a non-empty array, received an empty array.',
  });
}

/** What needs responses that the server keeps. */
function refuseKept(
  { background, previous_response_id: previous }: ResponseRequest,
  problems: RequestProblems,
): void {
  if (background === true) {
    problems.add(unsupported('background', 'the server keeps no responses (RESPONSES_STORE)'));
  }
  if (previous == null || previous === '') return;
  const advice = 'the server keeps no responses: send the whole conversation as `input`';
  problems.add(unsupported('previous_response_id', advice));
}

function checkBackground({ background, store }: ResponseRequest, problems: RequestProblems): void {
  if (background !== true || store !== false) return;
  problems.add(
    new GatewayError('invalid_value', {
      param: 'background',
      message:
        '`background` cannot be sent together with `store: false`: nobody could get the response.',
    }),
  );
}

function readFormat({ text }: ResponseRequest): ReplyFormat {
  const format = text?.format;
  if (format == null) return {};
  switch (format.type) {
    case 'text':
      return {};
    case 'json_object':
      return { jsonSchema: { type: 'object' } };
    case 'json_schema':
      if (format.schema == null) throw missing('text.format.schema');
      return {
        jsonSchema: readSchema(format.schema, 'text.format.schema', format.strict === true),
      };
    default:
      throw unsupported(
        'text.format.type',
        `only \`text\`, \`json_object\` and \`json_schema\` are, received ${JSON.stringify(format.type.slice(0, 40))}`,
      );
  }
}
