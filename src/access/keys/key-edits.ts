import { isExpired } from './api-key.ts';
import { formatIsoTime } from './iso-time.ts';
import { type KeyFileLine, parseKeyFile } from './key-file.ts';
import {
  formatKeyLine,
  holdsKey,
  KeyLineError,
  type KeyLineFields,
  readKeyLine,
  splitKeyLine,
} from './key-line.ts';
import { hashOf, hashPrefix } from './secret.ts';

/** Why a key file cannot be changed. */
export class KeyEditError extends Error {}

/** The first lines of a new file. */
export const newFileHeader = `# API keys, one a line: key_id:api_key[:rate_limit][:expiration] [name=value ...]
# Made by \`llama-gguf-inference keys\`; docs/authentication.md has the format.
`;

/** The change of a key's secret. */
export interface Rotation {
  /** The new secret. */
  readonly secret: string;
  /** Whether the line has it as a hash; undefined: as the line had the old one. */
  readonly hashes?: boolean | undefined;
  /** Replaces the field of the line; an empty text removes it. */
  readonly rateLimit?: string | undefined;
  readonly expiration?: string | undefined;
  /** How long the old secret stays valid, in milliseconds; 0 ends it at once. */
  readonly graceMs: number;
  readonly now: number;
}

/**
 * Adds a key at the end.
 * @throws {KeyEditError} when the id exists
 */
export function addKey(text: string, fields: KeyLineFields): string {
  check(fields);
  if (indexesOf(fields.keyId, parseKeyFile(text).lines).length > 0) {
    throw new KeyEditError(
      `key '${fields.keyId}' exists already; use rotate to replace its secret`,
    );
  }
  const gap = text === '' || text.endsWith('\n') ? '' : '\n';
  return `${text}${gap}${formatKeyLine(fields)}\n`;
}

/**
 * Removes every line of a key id: a line that was left would stay valid.
 * @throws {KeyEditError} when the id does not exist
 */
export function removeKey(
  text: string,
  keyId: string,
): { readonly text: string; readonly lineCount: number } {
  const { lines } = parseKeyFile(text);
  const indexes = requireIndexes(keyId, lines);
  const kept = lines.filter((_, index) => !indexes.includes(index));
  return { text: joinLines(kept.map((line) => line.text)), lineCount: indexes.length };
}

/**
 * Gives a key another secret, in its place and with its settings. Other lines of the id are removed, or expire with the
 * grace.
 * @returns the text, and the new line
 * @throws {KeyEditError} when there is no such key, or its settings would make the new one invalid
 */
export function rotateKey(
  text: string,
  keyId: string,
  { secret, hashes, rateLimit, expiration, graceMs, now }: Rotation,
): { readonly text: string; readonly fields: KeyLineFields } {
  const { lines } = parseKeyFile(text);
  const indexes = requireIndexes(keyId, lines);
  const [position = 0] = indexes;
  const model = lines[indexes.find((index) => lines[index]?.kind === 'key') ?? position];
  const old = fieldsOf(model?.text ?? '');
  if (old === undefined) throw new KeyEditError(`the line of key '${keyId}' cannot be read`);
  const { requests_per_minute: _same, ...others } = Object.fromEntries(old.attributes);
  const fields = {
    ...old,
    secret: (hashes ?? old.secret.startsWith(hashPrefix)) ? hashOf(secret) : secret,
    expiration: expiration ?? old.expiration,
    ...(rateLimit !== undefined && { rateLimit, attributes: new Map(Object.entries(others)) }),
  };
  if (isExpired(check(fields), now)) {
    throw new KeyEditError(`key '${keyId}' has expired (${fields.expiration}); pass --expires`);
  }
  const kept = lines.flatMap((line, index) => {
    const rest = indexes.includes(index) ? outgoing(line, graceMs, now) : [line.text];
    return index === position ? [formatKeyLine(fields), ...rest] : rest;
  });
  return { text: joinLines(kept), fields };
}

/**
 * Replaces secrets by their hashes.
 * @param keyId - undefined: all keys
 * @throws {KeyEditError} when there is no such key
 */
export function hashKeys(
  text: string,
  keyId: string | undefined,
): { readonly text: string; readonly hashedCount: number } {
  const { lines } = parseKeyFile(text);
  const wanted = keyId === undefined ? undefined : requireIndexes(keyId, lines);
  let hashedCount = 0;
  const changed = lines.map((line, index) => {
    if (line.kind !== 'key' || line.key.hashed || wanted?.includes(index) === false)
      return line.text;
    const fields = splitKeyLine(line.text);
    hashedCount += 1;
    return formatKeyLine({ ...fields, secret: hashOf(fields.secret) });
  });
  return { text: joinLines(changed), hashedCount };
}

/** The line of a replaced secret until it expires; none without a grace. */
function outgoing(line: KeyFileLine, graceMs: number, now: number): string[] {
  if (graceMs === 0 || line.kind !== 'key' || isExpired(line.key, now)) return [];
  const end = now + graceMs;
  const fields = splitKeyLine(line.text);
  const endsEarlier = line.key.expiresAt !== undefined && line.key.expiresAt <= end;
  return [endsEarlier ? line.text : formatKeyLine({ ...fields, expiration: formatIsoTime(end) })];
}

/** Makes sure that the server will accept the line. */
function check(fields: KeyLineFields) {
  try {
    return readKeyLine(fields, 1);
  } catch (error) {
    if (error instanceof KeyLineError) throw new KeyEditError(error.message);
    throw error;
  }
}

function requireIndexes(keyId: string, lines: readonly KeyFileLine[]): number[] {
  const indexes = indexesOf(keyId, lines);
  if (indexes.length === 0) throw new KeyEditError(`there is no key '${keyId}'`);
  return indexes;
}

/** Lines of a key id, with invalid ones. */
function indexesOf(keyId: string, lines: readonly KeyFileLine[]): number[] {
  return lines.flatMap(({ text }, index) =>
    holdsKey(text) && fieldsOf(text)?.keyId === keyId ? [index] : [],
  );
}

function fieldsOf(text: string): KeyLineFields | undefined {
  try {
    return splitKeyLine(text);
  } catch (error) {
    if (error instanceof KeyLineError) return undefined;
    throw error;
  }
}

function joinLines(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}
