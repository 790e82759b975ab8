import { type Static, Type } from 'typebox';
import type { Priority } from '../../admission/fair-queue.ts';
import type { EngineRequest } from '../../engine/generator.ts';
import { readLogitBias } from './logit-bias.ts';
import { optionsField, withOptions } from './ollama-options.ts';
import { optional } from './optional.ts';
import {
  checkPromptLogprobs,
  type ReplyExtras,
  readOutput,
  replyExtraFields,
  showsStops,
} from './reply-extras.ts';
import type { RequestProblems } from './request-problems.ts';
import { readSampling, samplingFields } from './sampling.ts';
import { readStops, stopFields } from './stops.ts';
import { readTokenLimit, tokenLimitFields } from './token-limit.ts';
import {
  checkMinTokens,
  readBadWords,
  readTokenRules,
  type TokenTexts,
  tokenRuleFields,
} from './token-rules.ts';

/** Maximum choices of one request, over all its prompts; OpenAI's limit to `n`. */
export const maxChoiceCount = 128;

/** The fields of every endpoint that generates text. */
export const generationFields = {
  model: optional(Type.String()),
  n: optional(Type.Integer({ minimum: 1, maximum: maxChoiceCount })),
  ...tokenLimitFields,
  ...samplingFields,
  ...stopFields,
  ...tokenRuleFields,
  ...replyExtraFields,
  ...optionsField,
  service_tier: optional(
    Type.String({
      description: '`flex` waits until no other request does; all other tiers are equal.',
    }),
  ),
  priority: optional(
    Type.Integer({
      description:
        "vLLM's number: requests above 0 wait like those of the tier `flex`. A tier overrides it.",
    }),
  ),
  cache_salt: optional(
    Type.String({
      maxLength: 512,
      description:
        'Only requests with the same salt share cached prefixes, besides the rules of the API keys.',
    }),
  ),
  stream: optional(Type.Boolean()),
  stream_options: optional(
    Type.Object({
      include_usage: optional(Type.Boolean()),
      include_obfuscation: optional(Type.Boolean()),
      continuous_usage_stats: optional(
        Type.Boolean({ description: 'Every chunk has the usage of its choice so far.' }),
      ),
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
  /** Texts that the model makes into rules about tokens. */
  readonly tokenTexts: TokenTexts | undefined;
  readonly extras: ReplyExtras;
  /** Separates the cached prefixes of requests with different salts. */
  readonly cacheSalt: string | undefined;
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
  const stream = body.stream ?? false;
  const bias = problems.attempt({ ids: [], texts: [] }, () => readLogitBias(body.logit_bias ?? {}));
  const badWords = readBadWords(body);
  const extras = readExtras(body);
  problems.attempt(undefined, () => checkPromptLogprobs(body, stream));
  problems.attempt(undefined, () => checkMinTokens(body, maxTokens));
  return {
    model: body.model ?? undefined,
    options: {
      ...(maxTokens !== undefined && { maxTokens }),
      ...(stop.length > 0 && { stop }),
      sampling: { ...readSampling(body), ...(bias.ids.length > 0 && { logitBias: bias.ids }) },
      ...readTokenRules(body),
      ...readOutput(body, extras),
    },
    tokenTexts:
      badWords.length + bias.texts.length > 0 ? { badWords, biases: bias.texts } : undefined,
    extras,
    cacheSalt: body.cache_salt || undefined,
    choiceCount: body.n ?? 1,
    stream,
    includeUsage: extras.continuousUsage || (body.stream_options?.include_usage ?? false),
    ...readServiceTier(body),
  };
}

function readExtras(body: GenerationBody): ReplyExtras {
  return {
    tokenForm: { asIds: body.return_tokens_as_token_ids ?? false, topCount: 0 },
    returnTokenIds: body.return_token_ids ?? false,
    returnStopReason: showsStops(body) || (body.stop_token_ids?.length ?? 0) > 0,
    continuousUsage: body.stream_options?.continuous_usage_stats ?? false,
    promptLogprobCount: body.prompt_logprobs ?? undefined,
  };
}

function readServiceTier({
  service_tier: tier,
  priority,
}: GenerationBody): Pick<ParsedRequest, 'priority' | 'serviceTier'> {
  if (tier == null) {
    return { priority: (priority ?? 0) > 0 ? 'batch' : 'interactive', serviceTier: undefined };
  }
  return tier === 'flex'
    ? { priority: 'batch', serviceTier: 'flex' }
    : { priority: 'interactive', serviceTier: 'default' };
}
