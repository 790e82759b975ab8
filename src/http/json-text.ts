/** The text of a JSON body from its bytes. */
import { isUtf8 } from 'node:buffer';

/**
 * JSON is UTF-8, whatever charset a client declares. Other bytes are UTF-16 where the first character of the text shows
 * it, else text in the declared charset.
 * @returns undefined for bytes that are neither
 */
export function jsonText(bytes: Buffer, declaredCharset: string | undefined): string | undefined {
  const utf16 = utf16Of(bytes);
  if (utf16 !== undefined) return decoded(bytes, utf16);
  if (isUtf8(bytes)) return bytes.toString('utf8').replace(/^\ufeff/, '');
  return declaredCharset === undefined ? undefined : decoded(bytes, declaredCharset);
}

/** A JSON text begins with an ASCII character, which has a zero byte in UTF-16 only; a byte order mark says it as well. */
function utf16Of([first, second]: Buffer): 'utf-16le' | 'utf-16be' | undefined {
  if (second === 0 || (first === 0xff && second === 0xfe)) return 'utf-16le';
  if (first === 0 || (first === 0xfe && second === 0xff)) return 'utf-16be';
  return undefined;
}

function decoded(bytes: Buffer, charset: string): string | undefined {
  try {
    return new TextDecoder(charset, { fatal: true }).decode(bytes);
  } catch {
    // The charset is not known, or the bytes are not text of it.
    return undefined;
  }
}
