/**
 * Reasoning as `encrypted_content`: text that only this server reads, and that a client sends back with the next request.
 * Nothing in it is secret from the client, which has the reasoning itself beside it.
 */
const mark = 'lgi1.';

export function sealReasoning(text: string): string {
  return mark + Buffer.from(text).toString('base64url');
}

/** Undefined for what another server has sealed. */
export function unsealReasoning(sealed: string): string | undefined {
  if (!sealed.startsWith(mark)) return undefined;
  return Buffer.from(sealed.slice(mark.length), 'base64url').toString();
}
