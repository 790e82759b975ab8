import { GatewayError } from '../../core/errors.ts';
import type { EngineInfo } from '../../engine/engine.ts';
import { beginRequest } from '../fields/begin-request.ts';
import {
  maxChoiceCount,
  type ParsedRequest,
  readGenerationFields,
} from '../fields/generation-fields.ts';
import { logprobOptions } from '../fields/reply-extras.ts';
import { readReplyFormat } from '../fields/reply-format.ts';
import { unsupported } from '../fields/request-errors.ts';
import type { BodyRequest, RequestProblems } from '../fields/request-problems.ts';
import { type ModelChoice, requireServable, type TextModel } from '../fields/served-model.ts';
import { checkTokenIds } from '../fields/token-ids.ts';
import type { PlainSource } from '../generation/prompt.ts';
import { CompletionRequest, type RequestPrompt } from './completion-shapes.ts';

/** A text completion request whose body is validated and normalised. */
export interface ParsedCompletion extends ParsedRequest {
  readonly prompts: readonly PlainSource[];
  /** Begin each choice with its prompt. */
  readonly echo: boolean;
  /** Choices of each prompt that are returned: the likeliest of the generated ones. */
  readonly returnedCount: number;
  /** Include the log probabilities of the choices' tokens. */
  readonly withLogprobs: boolean;
}

/**
 * Chooses the model, reads the body and applies the rules that a schema cannot express, all of them before anything is
 * refused.
 * @throws {GatewayError} what `chooseTextModel` throws; `unsupported_parameter`, `invalid_value`,
 *   `missing_required_parameter`
 */
export function readCompletion(
  request: BodyRequest<CompletionRequest>,
  choice: ModelChoice,
): { readonly parsed: ParsedCompletion; readonly model: TextModel } {
  const { problems, body, model } = beginRequest(request, choice, CompletionRequest.properties);
  const format = problems.attempt({}, () => readReplyFormat(body, false));
  const prompts = problems.read(['prompt', 'suffix'], [], () =>
    readPrompts(body.prompt, body.suffix).map((prompt) => ({
      ...prompt,
      format,
      addsSpecial: body.add_special_tokens ?? true,
    })),
  );
  requireVocabulary(prompts, model.engine.info, problems);
  const parsed = readOptions(body, prompts, problems);
  const choiceField = parsed.choiceCount > parsed.returnedCount ? 'best_of' : 'n';
  requireServable(parsed, model, problems, choiceField);
  problems.throwIfAny();
  return { parsed, model };
}

function readOptions(
  body: CompletionRequest,
  prompts: readonly PlainSource[],
  problems: RequestProblems,
): ParsedCompletion {
  const generation = readGenerationFields(body, problems);
  const returnedCount = generation.choiceCount;
  const choiceCount = problems.read(['n', 'best_of'], returnedCount, () =>
    readBestOf(body, generation),
  );
  const echo = body.echo ?? false;
  // llama-server's name asks for log probabilities by itself.
  const topCount = body.logprobs ?? (body.n_probs || undefined);
  const withLogprobs = topCount !== undefined;
  const withPromptLogprobs = echo && withLogprobs;
  if (withPromptLogprobs && prompts.some(({ suffix }) => suffix !== undefined)) {
    problems.add(unsupported('suffix', 'leave it out, or leave out `echo` or `logprobs`'));
  }
  if (prompts.length * choiceCount > maxChoiceCount) {
    problems.add(
      new GatewayError('invalid_value', {
        param: 'prompt',
        message:
          `\`prompt\` may ask for at most ${maxChoiceCount} choices in all, received ${prompts.length} prompts ` +
          `with ${choiceCount} of each.`,
      }),
    );
  }
  // With `best_of` the log probabilities decide which choices are returned.
  const computesLogprobs = withLogprobs || choiceCount > returnedCount;
  const { extras } = generation;
  const promptTopCount = extras.promptLogprobCount ?? (withPromptLogprobs ? topCount : undefined);
  return {
    ...generation,
    options: {
      ...generation.options,
      ...logprobOptions(computesLogprobs ? (topCount ?? 0) : undefined, promptTopCount),
    },
    extras: { ...extras, tokenForm: { ...extras.tokenForm, topCount: topCount ?? 0 } },
    choiceCount,
    returnedCount,
    withLogprobs,
    prompts,
    echo,
  };
}

/**
 * Checks the prompts against the vocabulary of the model.
 * @param problems - receives `unsupported_parameter` for a gap the model cannot fill, `invalid_value` for unknown tokens
 */
function requireVocabulary(
  prompts: readonly PlainSource[],
  info: EngineInfo,
  problems: RequestProblems,
): void {
  for (const { path, content, suffix } of prompts) {
    if (suffix !== undefined && !info.infill) {
      problems.add(
        unsupported('suffix', 'this model cannot fill gaps: its vocabulary has no marks for them'),
      );
    }
    if (typeof content !== 'string') {
      problems.attempt(undefined, () => checkTokenIds(content, info.vocabularySize, path));
    }
  }
}

/** The number of choices generated for each prompt. */
function readBestOf(
  { best_of: bestOf }: CompletionRequest,
  { choiceCount, stream }: ParsedRequest,
): number {
  if (bestOf == null || bestOf === choiceCount) return choiceCount;
  if (bestOf < choiceCount) {
    throw new GatewayError('invalid_value', {
      param: 'best_of',
      message: `\`best_of\` must be at least \`n\`, ${choiceCount}, received ${bestOf}.`,
    });
  }
  if (stream) {
    throw new GatewayError('invalid_value', {
      param: 'best_of',
      message:
        '`best_of` may not be above `n` together with `stream: true`: which choices are the best is known at the end.',
    });
  }
  return bestOf;
}

function readPrompts(prompt: RequestPrompt, suffix: string | null | undefined): PlainSource[] {
  const contents = readContents(prompt);
  // An empty suffix leaves no gap.
  if (suffix == null || suffix === '') {
    return contents.map((content) => ({ type: 'plain', ...content, suffix: undefined }));
  }
  if (contents.every(({ content }) => typeof content === 'string')) {
    return contents.map((content) => ({ type: 'plain', ...content, suffix }));
  }
  throw new GatewayError('invalid_value', {
    param: 'suffix',
    message: '`suffix` may only be sent together with prompts that are strings.',
  });
}

/** The texts and tokens of each prompt, with its path in the body. */
export function readContents(prompt: RequestPrompt): Pick<PlainSource, 'path' | 'content'>[] {
  if (typeof prompt === 'string') return [{ path: 'prompt', content: prompt }];
  if (prompt.some((part) => typeof part === 'number')) {
    return [{ path: 'prompt', content: prompt.map(requirePart) }];
  }
  return prompt.map((each, index) => ({
    path: `prompt[${index}]`,
    content: typeof each === 'number' ? [each] : each,
  }));
}

function requirePart(part: RequestPrompt[number], index: number): string | number {
  if (typeof part === 'string' || typeof part === 'number') return part;
  throw new GatewayError('invalid_value', {
    param: `prompt[${index}]`,
    message: `\`prompt[${index}]\` must be a string or a token id, because other items of \`prompt\` are token ids; received an array.`,
  });
}
