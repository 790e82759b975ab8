import { GatewayError } from '../../core/errors.ts';
import type { Embedder } from '../../engine/embedder.ts';
import type { EngineInfo } from '../../engine/engine.ts';
import type { ServedModel } from '../../model/registry.ts';
import { checkBodyFields } from '../fields/body-fields.ts';
import { type BodyRequest, RequestProblems } from '../fields/request-problems.ts';
import { chooseModel, type ModelChoice, requireEmbedder } from '../fields/served-model.ts';
import { checkTokenIds } from '../fields/token-ids.ts';
import type { PromptParts } from '../generation/prompt.ts';
import {
  EmbeddingRequest,
  type EncodingFormat,
  maxInputCount,
  type RequestInput,
} from './embedding-shapes.ts';

/** One input of a request. */
export interface InputContent {
  /** Path in the request's body, such as `input[2]`. */
  readonly path: string;
  readonly content: string | PromptParts;
}

/** A request for embeddings whose body is validated and normalised. */
export interface ParsedEmbedding {
  readonly inputs: readonly InputContent[];
  readonly encodingFormat: EncodingFormat;
  /** Values of each vector; undefined: all. */
  readonly dimensions: number | undefined;
  /** Maximum tokens, longer inputs are truncated: a number, or the model's context; undefined: no truncation. */
  readonly truncation: number | 'context' | undefined;
}

/**
 * Chooses the model, reads the body and applies the rules that a schema cannot express, all of them before anything is
 * refused.
 * @throws {GatewayError} what `chooseModel` and `requireEmbedder` throw; `unsupported_parameter`, `invalid_value`,
 *   `missing_required_parameter`
 */
export function readEmbedding(
  request: BodyRequest<EmbeddingRequest>,
  choice: ModelChoice,
): { readonly parsed: ParsedEmbedding; readonly model: ServedModel; readonly embedder: Embedder } {
  const problems = new RequestProblems(request.validationError);
  const body = problems.soundFields(request.body);
  checkBodyFields(request, EmbeddingRequest.properties, problems);
  const model = problems.essential(() => chooseModel(choice, body.model));
  const embedder = problems.essential(() => requireEmbedder(model));
  const parsed: ParsedEmbedding = {
    inputs: problems.read(['input'], [], () => readInputs(body.input)),
    encodingFormat: body.encoding_format ?? 'float',
    dimensions: body.dimensions ?? undefined,
    truncation: truncationOf(body),
  };
  requireEmbeddable(parsed, model.engine.info, problems);
  problems.throwIfAny();
  return { parsed, model, embedder };
}

function truncationOf(body: EmbeddingRequest): ParsedEmbedding['truncation'] {
  const { truncate, truncate_prompt_tokens: tokens } = body;
  if (tokens != null && tokens > 0) return tokens;
  const isWanted = tokens === -1 || truncate === true || truncate === 'END';
  return isWanted ? 'context' : undefined;
}

/** @param problems - receives `invalid_value` for values beyond this model's limits */
function requireEmbeddable(
  { inputs, dimensions, truncation }: ParsedEmbedding,
  { embedding, vocabularySize }: EngineInfo,
  problems: RequestProblems,
): void {
  problems.attempt(undefined, () =>
    requireAtMost('dimensions', dimensions, embedding.width, 'values of a vector'),
  );
  if (typeof truncation === 'number') {
    const { contextLength } = embedding;
    problems.attempt(undefined, () =>
      requireAtMost('truncate_prompt_tokens', truncation, contextLength, 'tokens of one input'),
    );
  }
  for (const { path, content } of inputs) {
    if (typeof content === 'string') continue;
    problems.attempt(undefined, () => checkTokenIds(content, vocabularySize, path));
  }
}

function requireAtMost(
  param: string,
  value: number | undefined,
  max: number,
  meaning: string,
): void {
  if (value === undefined || value <= max) return;
  throw new GatewayError('invalid_value', {
    param,
    message: `\`${param}\` must be between 1 and ${max}, this model's number of ${meaning}, received ${value}.`,
  });
}

function readInputs(input: RequestInput): InputContent[] {
  if (typeof input === 'string') return [{ path: 'input', content: input }];
  if (input.some((part) => typeof part === 'number')) {
    return [{ path: 'input', content: input.map(requirePart) }];
  }
  if (input.length > maxInputCount) {
    throw new GatewayError('invalid_value', {
      param: 'input',
      message: `\`input\` may have at most ${maxInputCount} inputs, received ${input.length}.`,
    });
  }
  return input.map((content, index) => ({
    path: `input[${index}]`,
    content: typeof content === 'number' ? [content] : content,
  }));
}

function requirePart(part: string | number | PromptParts, index: number): string | number {
  if (typeof part === 'string' || typeof part === 'number') return part;
  throw new GatewayError('invalid_value', {
    param: `input[${index}]`,
    message: `\`input[${index}]\` must be a text or a token id, because other items of \`input\` are token ids; received an array.`,
  });
}
