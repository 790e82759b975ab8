import { GatewayError } from '../../core/errors.ts';
import type { EngineRequest, Generator } from '../../engine/generator.ts';
import { maxBiasCount } from '../fields/logit-bias.ts';
import type { TokenTexts } from '../fields/token-rules.ts';

type Options = Omit<EngineRequest, 'prompt'>;

/**
 * Adds the rules of a request's texts, which the model makes into tokens.
 * @throws {GatewayError} `invalid_value` for too many tokens with a bias
 */
export async function withTokenTexts(
  generator: Generator,
  options: Options,
  texts: TokenTexts | undefined,
): Promise<Options> {
  if (texts === undefined) return options;
  const [badWords, biases] = await Promise.all([
    badWordTokens(generator, texts.badWords),
    biasesOf(generator, texts.biases),
  ]);
  const { sampling, tokenRules } = options;
  const logitBias = [...(sampling?.logitBias ?? []), ...biases];
  if (logitBias.length > maxBiasCount) {
    throw new GatewayError('invalid_value', {
      param: 'logit_bias',
      message: `\`logit_bias\` must bias at most ${maxBiasCount} tokens, received texts of ${logitBias.length} in all.`,
    });
  }
  return {
    ...options,
    ...(logitBias.length > 0 && { sampling: { ...sampling, logitBias } }),
    ...(badWords.length > 0 && { tokenRules: { ...tokenRules, badWords } }),
  };
}

/**
 * The tokens of each bad word as vLLM chooses them: those at the beginning of a text; and those within a text, where a
 * space before the word is part of its first token.
 */
async function badWordTokens(
  generator: Generator,
  words: readonly string[],
): Promise<readonly (readonly number[])[]> {
  const bare = [...new Set(words.map((word) => word.trimStart()))];
  const tokens = await generator.tokenizeWords([...bare, ...bare.map((word) => ` ${word}`)]);
  return bare.flatMap((_, index) => {
    const [first, spaced] = [tokens[index] ?? [], tokens[bare.length + index] ?? []];
    const isOther = spaced.length === first.length && spaced[0] !== first[0];
    return [first, ...(isOther ? [spaced] : [])].filter(({ length }) => length > 0);
  });
}

async function biasesOf(
  generator: Generator,
  biases: TokenTexts['biases'],
): Promise<readonly (readonly [number, number])[]> {
  const tokens = await generator.tokenizeWords(biases.map(([text]) => text));
  return biases.flatMap(([, bias], index) =>
    (tokens[index] ?? []).map((id) => [id, bias] as const),
  );
}
