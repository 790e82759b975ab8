/**
 * The signature of a thinking block. Anthropic's clients keep it and send it back with the block. Where a request asks
 * for no text, it holds the thinking, so that the next turn of the conversation still has it.
 */
import { createHash } from 'node:crypto';

const sealedMark = 'sealed.';

/** @param isOmitted - the block has no text of its own */
export function signatureOf(thinking: string, isOmitted: boolean): string {
  if (isOmitted) return sealedMark + Buffer.from(thinking).toString('base64url');
  return createHash('sha256').update(thinking).digest('base64url');
}

/** The thinking that a signature holds; undefined where it holds none. */
export function thinkingIn(signature: string | null | undefined): string | undefined {
  if (signature == null || !signature.startsWith(sealedMark)) return undefined;
  return Buffer.from(signature.slice(sealedMark.length), 'base64url').toString();
}
