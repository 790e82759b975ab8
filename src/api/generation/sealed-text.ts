/**
 * Text as an opaque token that a client keeps and sends back: reasoning that the client asked not to see, or to have in
 * the form that OpenAI encrypts. It is not encrypted: nothing in it is secret from the client, whose conversation it is.
 */
const mark = 'lgi1.';

export function sealText(text: string): string {
  return mark + Buffer.from(text).toString('base64url');
}

/** Undefined for a token that another server has made. */
export function unsealText(sealed: string): string | undefined {
  if (!sealed.startsWith(mark)) return undefined;
  return Buffer.from(sealed.slice(mark.length), 'base64url').toString();
}
