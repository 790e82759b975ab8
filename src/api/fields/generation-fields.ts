import { type Static, Type } from 'typebox';
import type { Priority } from '../../admission/fair-queue.ts';
import { GatewayError } from '../../core/errors.ts';
import type { EngineRequest } from '../../engine/generator.ts';
import { optional } from './optional.ts';
import type { RequestProblems } from './request-problems.ts';
import { readSampling, samplingFields } from './sampling.ts';

/** Maximum choices of one request, over all its prompts; OpenAI's limit to `n`. */
export const maxChoiceCount = 128;

const serviceTiers = ['auto', 'default', 'flex', 'scale', 'priority'] as const;

/** The fields of every endpoint that generates text. */
export const generationFields = {
  model: optional(Type.String()),
  n: optional(Type.Integer({ minimum: 1, maximum: maxChoiceCount })),
  max_tokens: optional(Type.Integer({ minimum: 1 })),
  max_completion_tokens: optional(Type.Integer({ minimum: 1 })),
  /** llama-server's name of the limit; its −1, a completion without end, is refused. */
  n_predict: optional(Type.Integer({ minimum: 1 })),
  ...samplingFields,
  stop: Type.Optional(
    Type.Unsafe<string | string[] | null>({
      type: ['string', 'array', 'null'],
      minLength: 1,
      maxItems: 16,
      items: Type.String({ minLength: 1 }),
    }),
  ),
  /** `flex` waits until no interactive request does; all other values are equal here. */
  service_tier: Type.Optional(
    Type.Unsafe<(typeof serviceTiers)[number] | null>({
      type: ['string', 'null'],
      enum: [...serviceTiers, null],
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
  body: GenerationBody,
  problems: RequestProblems,
): ParsedRequest {
  const stream = body.stream ?? false;
  if (body.stream_options != null && !stream && !problems.concerns('stream')) {
    problems.add(
      new GatewayError('invalid_value', {
        param: 'stream_options',
        message: '`stream_options` may only be sent together with `stream: true`.',
      }),
    );
  }
  const maxTokens = body.max_completion_tokens ?? body.max_tokens ?? body.n_predict;
  return {
    model: body.model ?? undefined,
    options: {
      ...(maxTokens != null && { maxTokens }),
      ...(body.stop != null && { stop: [body.stop].flat() }),
      sampling: readSampling(body, problems),
    },
    choiceCount: body.n ?? 1,
    stream,
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
