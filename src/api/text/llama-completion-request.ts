import { GatewayError } from '../../core/errors.ts';
import type { EngineInfo } from '../../engine/engine.ts';
import type { InfillPrompt } from '../../engine/generator.ts';
import { type BegunRequest, beginRequest } from '../fields/begin-request.ts';
import {
  maxChoiceCount,
  type ParsedRequest,
  readGenerationFields,
} from '../fields/generation-fields.ts';
import { readReplyFormat } from '../fields/reply-format.ts';
import { missing, unsupported } from '../fields/request-errors.ts';
import type { BodyRequest, RequestProblems } from '../fields/request-problems.ts';
import { type ModelChoice, requireServable, type TextModel } from '../fields/served-model.ts';
import { checkTokenIds } from '../fields/token-ids.ts';
import type { InfillSource, PlainSource } from '../generation/prompt.ts';
import { readContents } from './completion-request.ts';
import type { RequestPrompt } from './completion-shapes.ts';
import {
  InfillRequest,
  LlamaCompletionRequest,
  type LlamaFields,
  type LlamaPrompt,
  type PromptObject,
} from './llama-completion-shapes.ts';

/** A request in llama-server's form whose body is validated and normalised. */
export interface ParsedLlamaCompletion extends ParsedRequest {
  readonly prompts: readonly (PlainSource | InfillSource)[];
  /** Likeliest tokens at each position; 0: no probabilities. */
  readonly probabilityCount: number;
  readonly returnTokens: boolean;
  /** Paths of the fields to return; empty: all. */
  readonly responseFields: readonly string[];
}

type LlamaOptions = Omit<ParsedLlamaCompletion, 'prompts'>;

interface ReadResult {
  readonly parsed: ParsedLlamaCompletion;
  readonly model: TextModel;
}

/** Fields of llama-server that would change the completion and are not honoured, with the values that do nothing. */
const refusedFields: Readonly<Record<string, readonly unknown[]>> = {
  post_sampling_probs: [false],
};

/** Tokens that a prompt with a gap leaves for the completion, where the request has no limit of its own. */
const assumedInfillTokenCount = 256;

/**
 * Reads the body of `POST /completion`.
 * @throws {GatewayError} what `chooseTextModel` throws; `unsupported_parameter`, `invalid_value`,
 *   `missing_required_parameter`
 */
export function readLlamaCompletion(
  request: BodyRequest<LlamaCompletionRequest>,
  choice: ModelChoice,
): ReadResult {
  const { problems, body, model } = begin(request, choice, LlamaCompletionRequest.properties);
  const format = problems.attempt({}, () => readReplyFormat(body, false));
  const prompts = problems.read(['prompt'], [], () =>
    readPrompts(body.prompt).map((prompt) => ({ ...prompt, format })),
  );
  for (const { path, content } of prompts) {
    if (typeof content === 'string') continue;
    const { vocabularySize } = model.engine.info;
    problems.attempt(undefined, () => checkTokenIds(content, vocabularySize, path));
  }
  return finish(readOptions(body, problems), prompts, model, problems);
}

/**
 * Reads the body of `POST /infill`.
 * @throws {GatewayError} like {@link readLlamaCompletion}, and `unsupported_model`
 */
export function readInfill(request: BodyRequest<InfillRequest>, choice: ModelChoice): ReadResult {
  const { problems, body, model } = begin(request, choice, InfillRequest.properties);
  requireInfill(model, problems);
  const { input_prefix: prefix, input_suffix: suffix, prompt } = body;
  if (prefix == null && suffix == null && prompt == null) {
    problems.add(missing('input_prefix'));
  }
  const options = readOptions(body as LlamaFields, problems);
  const text: InfillPrompt = {
    prefix: prefix ?? '',
    suffix: suffix ?? '',
    prompt: prompt ?? '',
    extra: (body.input_extra ?? []).map(({ filename, text }) => ({
      text,
      ...(filename != null && { filename }),
    })),
    maxTokenCount: infillRoom(options, model.engine.info),
  };
  const format = problems.attempt({}, () => readReplyFormat(body, false));
  return finish(options, [{ type: 'infill', text, format }], model, problems);
}

function begin<Body extends LlamaFields | InfillRequest>(
  request: BodyRequest<Body>,
  choice: ModelChoice,
  honoured: object,
): BegunRequest<Body> {
  const begun = beginRequest(request, choice, honoured);
  for (const [name, neutral] of Object.entries(refusedFields)) {
    const value = (request.body as Readonly<Record<string, unknown>>)[name];
    if (value == null || neutral.includes(value)) continue;
    begun.problems.add(unsupported(name, 'probabilities are those of the model, before sampling'));
  }
  return begun;
}

function finish(
  options: LlamaOptions,
  prompts: ParsedLlamaCompletion['prompts'],
  model: TextModel,
  problems: RequestProblems,
): ReadResult {
  const parsed = { ...options, prompts };
  if (prompts.length * parsed.choiceCount > maxChoiceCount) {
    problems.add(
      new GatewayError('invalid_value', {
        param: 'prompt',
        message: `\`prompt\` may ask for at most ${maxChoiceCount} choices in all, received ${prompts.length} prompts with ${parsed.choiceCount} of each.`,
      }),
    );
  }
  requireServable(parsed, model, problems);
  problems.throwIfAny();
  return { parsed, model };
}

function readOptions(body: LlamaFields, problems: RequestProblems): LlamaOptions {
  const generation = readGenerationFields(body, problems);
  const probabilityCount = body.n_probs ?? 0;
  const returnTokens = body.return_tokens ?? generation.extras.returnTokenIds;
  return {
    ...generation,
    options: {
      ...generation.options,
      ...(body.n_indent != null && { minIndent: body.n_indent }),
      ...(probabilityCount > 0 && { logprobs: { topCount: probabilityCount, prompt: false } }),
      ...((returnTokens || generation.stream) && { reportTokens: true }),
    },
    choiceCount: body.n_cmpl ?? generation.choiceCount,
    probabilityCount,
    returnTokens,
    responseFields: body.response_fields ?? [],
  };
}

function readPrompts(prompt: LlamaPrompt): PlainSource[] {
  const plain = isObject(prompt) ? textOf(prompt, 'prompt') : withoutObjects(prompt);
  return readContents(plain).map((content) => ({ type: 'plain', ...content, suffix: undefined }));
}

function withoutObjects(prompt: Exclude<LlamaPrompt, PromptObject>): RequestPrompt {
  if (typeof prompt === 'string') return prompt;
  return prompt.map((each, index) => (isObject(each) ? textOf(each, `prompt[${index}]`) : each));
}

function isObject(prompt: LlamaPrompt | number): prompt is PromptObject {
  return typeof prompt === 'object' && !Array.isArray(prompt);
}

function textOf({ prompt_string: text, multimodal_data: media }: PromptObject, path: string) {
  if (media != null && media.length > 0) {
    throw unsupported(`${path}.multimodal_data`, 'this model reads text only');
  }
  return text;
}

/** Tokens of a prompt with a gap, so that the completion fits behind it. */
function infillRoom({ options }: LlamaOptions, { contextLength }: EngineInfo): number {
  const wanted = options.maxTokens ?? assumedInfillTokenCount;
  return contextLength - Math.max(1, Math.min(wanted, Math.floor(contextLength / 2)));
}

function requireInfill({ card, engine }: TextModel, problems: RequestProblems): void {
  if (engine.info.infill) return;
  problems.add(
    new GatewayError('unsupported_model', {
      param: 'model',
      message: `The model \`${card.id}\` cannot fill gaps: its vocabulary has no marks for them.`,
    }),
  );
}
