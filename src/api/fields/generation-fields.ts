import { type Static, Type } from 'typebox';
import type { Priority } from '../../admission/fair-queue.ts';
import type { EngineRequest } from '../../engine/generator.ts';
import { optionsField, withOptions } from './ollama-options.ts';
import { optional } from './optional.ts';
import type { RequestProblems } from './request-problems.ts';
import { readSampling, samplingFields } from './sampling.ts';
import { readStops, stopFields } from './stops.ts';
import { readTokenLimit, tokenLimitFields } from './token-limit.ts';

/** Maximum choices of one request, over all its prompts; OpenAI's limit to `n`. */
export const maxChoiceCount = 128;

/** The fields of every endpoint that generates text. */
export const generationFields = {
  model: optional(Type.String()),
  n: optional(Type.Integer({ minimum: 1, maximum: maxChoiceCount })),
  ...tokenLimitFields,
  ...samplingFields,
  ...stopFields,
  ...optionsField,
  service_tier: optional(
    Type.String({
      description: '`flex` waits until no other request does; all other tiers are equal.',
    }),
  ),
  stream: optional(Type.Boolean()),
  stream_options: optional(
    Type.Object({
      include_usage: optional(Type.Boolean()),
      include_obfuscation: optional(Type.Boolean()),
    }),
  ),
};

const GenerationBody = Type.Object(generationFields);
type GenerationBody = Static<typeof GenerationBody>;

/** What a request says about its completions, apart from the prompts. */
export interface ParsedRequest {
  /** The requested id; undefined when the request leaves the choice to the server. */
  readonly model: string | undefined;
  readonly options: Omit<EngineRequest, 'prompt'>;
  /** Choices of each prompt. */
  readonly choiceCount: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly priority: Priority;
  /** The tier that the reply names; undefined when the request names none. */
  readonly serviceTier: ServiceTier | undefined;
}

/** OpenAI's words for the two priorities. */
export type ServiceTier = 'default' | 'flex';

/** @param problems - receives `invalid_value` */
export function readGenerationFields(
  given: GenerationBody,
  problems: RequestProblems,
): ParsedRequest {
  const body = withOptions(given);
  const maxTokens = readTokenLimit(body);
  const stop = readStops(body, problems);
  return {
    model: body.model ?? undefined,
    options: {
      ...(maxTokens !== undefined && { maxTokens }),
      ...(stop.length > 0 && { stop }),
      sampling: readSampling(body, problems),
    },
    choiceCount: body.n ?? 1,
    stream: body.stream ?? false,
    includeUsage: body.stream_options?.include_usage ?? false,
    ...readServiceTier(body),
  };
}

function readServiceTier({
  service_tier: tier,
}: GenerationBody): Pick<ParsedRequest, 'priority' | 'serviceTier'> {
  if (tier == null) return { priority: 'interactive', serviceTier: undefined };
  return tier === 'flex'
    ? { priority: 'batch', serviceTier: 'flex' }
    : { priority: 'interactive', serviceTier: 'default' };
}
