/**
 * The signature of a thinking block. Anthropic's clients keep it and send it back with the block. Where a request asks
 * for no text, it holds the thinking, so that the next turn of the conversation still has it.
 */
import { createHash } from 'node:crypto';
import { sealText, unsealText } from '../generation/sealed-text.ts';

/** @param isOmitted - the block has no text of its own */
export function signatureOf(thinking: string, isOmitted: boolean): string {
  if (isOmitted) return sealText(thinking);
  return createHash('sha256').update(thinking).digest('base64url');
}

/** The thinking that a signature holds; undefined where it holds none. */
export function thinkingIn(signature: string | null | undefined): string | undefined {
  return signature == null ? undefined : unsealText(signature);
}
