/** The texts of single tokens. */
import { GatewayError } from '../../core/errors.ts';
import type { Tokenizer } from '../../engine/tokenizer.ts';

/** Maximum tokens of a list with pieces: such a list is for reading, and large in JSON. */
const maxPieceCount = 65_536;

/** Pieces looked up at the same time; other requests share the worker threads. */
const batchSize = 64;

/**
 * The bytes of each token, which need not be valid UTF-8; equal tokens are looked up once.
 * @param param - the field that asks for the pieces
 * @throws {GatewayError} `invalid_value` for too many tokens
 */
export async function piecesOf(
  ids: readonly number[],
  { tokenizer, param }: { readonly tokenizer: Tokenizer; readonly param: string },
): Promise<readonly Buffer[]> {
  if (ids.length > maxPieceCount) {
    throw new GatewayError('invalid_value', {
      param,
      message: `\`${param}\` may only be sent with texts of at most ${maxPieceCount} tokens, received ${ids.length}.`,
    });
  }
  const pieces = new Map<number, Buffer>();
  const distinctIds = [...new Set(ids)];
  for (let start = 0; start < distinctIds.length; start += batchSize) {
    const batch = distinctIds.slice(start, start + batchSize);
    const found = await Promise.all(batch.map((id) => tokenizer.detokenize([id])));
    for (const [index, id] of batch.entries()) pieces.set(id, found[index] ?? Buffer.alloc(0));
  }
  return ids.map((id) => pieces.get(id) ?? Buffer.alloc(0));
}
