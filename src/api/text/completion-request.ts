import { GatewayError } from '../../core/errors.ts';
import {
  type GenerationRequest,
  maxChoiceCount,
  readGeneration,
} from '../fields/generation-request.ts';
import { unsupported } from '../fields/request-errors.ts';
import { refuseUnsupported } from '../fields/unsupported-parameters.ts';
import {
  CompletionRequest,
  type RequestPrompt,
  type RequestPromptParts,
} from './completion-shapes.ts';

/** One prompt of a request. */
export interface PromptContent {
  /** Where it stands in the body, such as `prompt[2]`. */
  readonly path: string;
  readonly content: string | RequestPromptParts;
}

/** A text completion request in the engine's words. */
export interface TextRequest extends GenerationRequest {
  readonly prompts: readonly PromptContent[];
  /** What comes after the gap; undefined where there is none. */
  readonly suffix: string | undefined;
  /** Whether each choice begins with its prompt. */
  readonly echo: boolean;
  /** Choices of each prompt that are sent: the best of those that are generated. */
  readonly keptCount: number;
  /** Whether the tokens of the choices are told. */
  readonly withLogprobs: boolean;
}

/**
 * Reads a body that fits the schema, and applies the rules a schema cannot say.
 * @throws {GatewayError} `unsupported_parameter`, `invalid_value`
 */
export function readCompletionRequest(body: CompletionRequest): TextRequest {
  refuseUnsupported(body, CompletionRequest.properties);
  const generation = readGeneration(body);
  const keptCount = generation.choiceCount;
  const choiceCount = readBestOf(body, generation);
  const prompts = readPrompts(body.prompt);
  const suffix = readSuffix(body.suffix, prompts);
  const echo = body.echo ?? false;
  if (generation.options.maxTokens === 0 && !echo) {
    throw new GatewayError('invalid_value', {
      param: 'max_tokens',
      message: '`max_tokens` must be at least 1 unless `echo` is true, received 0.',
    });
  }
  const withLogprobs = body.logprobs != null;
  const scoresPrompt = echo && withLogprobs;
  if (scoresPrompt && suffix !== undefined) {
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
  return {
    ...generation,
    options: {
      ...generation.options,
      // Choices are compared by them.
      ...((withLogprobs || choiceCount > keptCount) && {
        logprobs: { topCount: body.logprobs ?? 0, prompt: scoresPrompt },
      }),
    },
    choiceCount,
    keptCount,
    withLogprobs,
    prompts,
    suffix,
    echo,
  };
}

/** How many choices of each prompt are generated. */
function readBestOf(
  { best_of: bestOf }: CompletionRequest,
  { choiceCount, stream }: GenerationRequest,
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

function readPrompts(prompt: RequestPrompt): PromptContent[] {
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

/** An empty suffix asks for what any prompt does. */
function readSuffix(
  suffix: string | null | undefined,
  prompts: readonly PromptContent[],
): string | undefined {
  if (suffix == null || suffix === '') return undefined;
  if (prompts.every(({ content }) => typeof content === 'string')) return suffix;
  throw new GatewayError('invalid_value', {
    param: 'suffix',
    message: '`suffix` may only be sent together with prompts that are strings.',
  });
}
