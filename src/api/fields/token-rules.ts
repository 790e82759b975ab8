/** Fields about single tokens, as vLLM and SGLang name them: which end a completion, and which may follow. */
import { type Static, Type } from 'typebox';
import { GatewayError } from '../../core/errors.ts';
import type { SamplingParams } from '../../engine/sampling-params.ts';
import type { TokenRules } from '../../engine/token-rules.ts';
import { optional } from './optional.ts';
import { checkTokenIds } from './token-ids.ts';

const TokenIds = Type.Array(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 }), {
  maxItems: 1024,
});

/** Each is compared with the last tokens for every sampled token. */
const maxBadWordCount = 128;

export const tokenRuleFields = {
  stop_token_ids: optional({
    ...TokenIds,
    description: 'These end the completion, and do not appear in it.',
  }),
  min_tokens: optional(
    Type.Integer({
      minimum: 0,
      maximum: 2 ** 31 - 1,
      description:
        'No end token, no stop token and no stop string ends the completion before so many tokens.',
    }),
  ),
  min_new_tokens: optional(
    Type.Integer({
      minimum: 0,
      maximum: 2 ** 31 - 1,
      description: "SGLang's name of `min_tokens`.",
    }),
  ),
  allowed_token_ids: optional(
    Type.Array(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 }), {
      description:
        'Only these may follow. The model ends the completion only if an end token is among them.',
    }),
  ),
  bad_words: optional(
    Type.Array(Type.String({ maxLength: 256 }), {
      maxItems: maxBadWordCount,
      description: 'Texts whose tokens never follow each other in the completion.',
    }),
  ),
};

const TokenRuleBody = Type.Object(tokenRuleFields);
type TokenRuleBody = Static<typeof TokenRuleBody>;

/** Texts of a request that stand for tokens of the model. */
export interface TokenTexts {
  readonly badWords: readonly string[];
  /** All tokens of a text get its bias. */
  readonly biases: readonly (readonly [text: string, bias: number])[];
}

/** The rules of a body, without its bad words. An empty list is no rule. */
export function readTokenRules(body: TokenRuleBody): { readonly tokenRules?: TokenRules } {
  const { stop_token_ids: stopTokens, allowed_token_ids: allowedTokens } = body;
  const minTokens = body.min_tokens ?? body.min_new_tokens ?? 0;
  const tokenRules = {
    ...(stopTokens?.length && { stopTokens }),
    ...(allowedTokens?.length && { allowedTokens }),
    ...(minTokens > 0 && { minTokens }),
  };
  return Object.keys(tokenRules).length > 0 ? { tokenRules } : {};
}

/**
 * @param maxTokens - the maximum of the request; undefined without one
 * @throws {GatewayError} `invalid_value` for a minimum above the maximum
 */
export function checkMinTokens(body: TokenRuleBody, maxTokens: number | undefined): void {
  const param = body.min_tokens == null ? 'min_new_tokens' : 'min_tokens';
  const minTokens = body[param] ?? 0;
  if (maxTokens === undefined || minTokens <= maxTokens) return;
  throw new GatewayError('invalid_value', {
    param,
    message: `\`${param}\` must be at most ${maxTokens}, the maximum of this request, received ${minTokens}.`,
  });
}

/** The bad words of a body; an empty text is none. */
export function readBadWords({ bad_words: badWords }: TokenRuleBody): readonly string[] {
  return [...new Set(badWords ?? [])].filter((word) => word.trim() !== '');
}

/**
 * Checks the tokens of the rules and of the biases against the model's vocabulary.
 * @throws {GatewayError} `invalid_value` for an id outside of it
 */
export function requireTokens(
  { logitBias = [] }: SamplingParams,
  rules: TokenRules | undefined,
  vocabularySize: number,
): void {
  checkTokenIds(rules?.stopTokens ?? [], vocabularySize, 'stop_token_ids');
  checkTokenIds(rules?.allowedTokens ?? [], vocabularySize, 'allowed_token_ids');
  const unknown = logitBias.find(([id]) => id >= vocabularySize);
  if (unknown === undefined) return;
  throw new GatewayError('invalid_value', {
    param: 'logit_bias',
    message: `\`logit_bias\` must name tokens of the model, 0 to ${vocabularySize - 1}, received ${unknown[0]}.`,
  });
}
