import { GatewayError } from '../../core/errors.ts';

/**
 * @param param - path of the array; texts in it are skipped
 * @throws {GatewayError} `invalid_value` for a token id outside of the vocabulary
 */
export function checkTokenIds(
  tokens: readonly (string | number)[],
  vocabularySize: number,
  param: string,
): void {
  const isBeyond = (token: string | number) => typeof token === 'number' && token >= vocabularySize;
  const index = tokens.findIndex(isBeyond);
  if (index === -1) return;
  throw new GatewayError('invalid_value', {
    param: `${param}[${index}]`,
    message: `\`${param}[${index}]\` must be a token id below ${vocabularySize}, the size of the vocabulary, received ${tokens[index]}.`,
  });
}
