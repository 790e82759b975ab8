import type { NativeTokenLogprob } from './addon.ts';
import type { TokenLogprob, TopLogprob } from './logprobs.ts';

/** Converts the addon's tokens to the contract's. */
export function toTokenLogprobs(tokens: readonly NativeTokenLogprob[]): TokenLogprob[] {
  return tokens.map(({ id, bytes, logprob, rank, top, firstCharacter }) => ({
    id,
    bytes: toBytes(bytes),
    logprob,
    ...(rank !== undefined && { rank }),
    top: toPieces(top),
    firstCharacter,
  }));
}

function toPieces(flat: readonly (string | number)[]): TopLogprob[] {
  return Array.from({ length: flat.length / 3 }, (_, index) => ({
    id: flat[3 * index] as number,
    bytes: toBytes(flat[3 * index + 1] as string),
    logprob: flat[3 * index + 2] as number,
  }));
}

function toBytes(bytes: string): Buffer {
  return Buffer.from(bytes, 'latin1');
}
