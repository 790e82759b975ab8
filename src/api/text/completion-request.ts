import type { FastifyBaseLogger } from 'fastify';
import { GatewayError } from '../../core/errors.ts';
import { checkBodyFields } from '../fields/body-fields.ts';
import {
  maxChoiceCount,
  type ParsedRequest,
  readGenerationFields,
} from '../fields/generation-fields.ts';
import { unsupported } from '../fields/request-errors.ts';
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
 * Reads a body that fits the schema, and applies the rules that a schema cannot express.
 * @throws {GatewayError} `unsupported_parameter`, `invalid_value`
 */
export function readCompletion(body: CompletionRequest, log: FastifyBaseLogger): ParsedCompletion {
  checkBodyFields(body, CompletionRequest.properties, log);
  const generation = readGenerationFields(body);
  const returnedCount = generation.choiceCount;
  const choiceCount = readBestOf(body, generation);
  const prompts = readPrompts(body.prompt, body.suffix);
  const echo = body.echo ?? false;
  if (generation.options.maxTokens === 0 && !echo) {
    throw new GatewayError('invalid_value', {
      param: 'max_tokens',
      message: '`max_tokens` must be at least 1 unless `echo` is true, received 0.',
    });
  }
  const withLogprobs = body.logprobs != null;
  const withPromptLogprobs = echo && withLogprobs;
  if (withPromptLogprobs && prompts.some(({ suffix }) => suffix !== undefined)) {
    throw unsupported('suffix', 'leave it out, or leave out `echo` or `logprobs`');
  }
  if (prompts.length * choiceCount > maxChoiceCount) {
    throw new GatewayError('invalid_value', {
      param: 'prompt',
      message:
        `\`prompt\` may ask for at most ${maxChoiceCount} choices in all, received ${prompts.length} prompts ` +
        `with ${choiceCount} of each.`,
    });
  }
  // With `best_of` the log probabilities decide which choices are returned.
  const logprobs = (withLogprobs || choiceCount > returnedCount) && {
    topCount: body.logprobs ?? 0,
    prompt: withPromptLogprobs,
  };
  return {
    ...generation,
    options: { ...generation.options, ...(logprobs && { logprobs }) },
    choiceCount,
    returnedCount,
    withLogprobs,
    prompts,
    echo,
  };
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

function readContents(prompt: RequestPrompt): Pick<PlainSource, 'path' | 'content'>[] {
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
