import type { NativeTokenLogprob } from './addon.ts';
import type { TokenLogprob, TopLogprob } from './logprobs.ts';

/** Converts the addon's tokens to the contract's. */
export function toTokenLogprobs(tokens: readonly NativeTokenLogprob[]): TokenLogprob[] {
  return tokens.map(({ bytes, logprob, top, firstCharacter }) => ({
    bytes: toBytes(bytes),
    logprob,
    top: toPieces(top),
    firstCharacter,
  }));
}

function toPieces(flat: readonly (string | number)[]): TopLogprob[] {
  return Array.from({ length: flat.length / 2 }, (_, index) => ({
    bytes: toBytes(flat[2 * index] as string),
    logprob: flat[2 * index + 1] as number,
  }));
}

function toBytes(bytes: string): Buffer {
  return Buffer.from(bytes, 'latin1');
}
