import { type Priority, priorities } from '../../admission/fair-queue.ts';
import { nearest } from '../../core/nearest.ts';
import { type ApiKey, type KeyLimits, type Scope, scopes } from './api-key.ts';
import { parseIsoTime } from './iso-time.ts';
import { digestOf, hashPrefix, isPlaceholder, isSecret } from './secret.ts';

/**
 * The parts of one line, as written:
 * `key_id:api_key[:rate_limit][:expiration] [name=value ...]`.
 */
export interface KeyLineFields {
  readonly keyId: string;
  /** The secret, or its hash behind {@link hashPrefix}. */
  readonly secret: string;
  readonly rateLimit: string;
  readonly expiration: string;
  /** In their order; names are lower case. */
  readonly attributes: ReadonlyMap<string, string>;
}

/** Why a line is not a key. The message contains no part of a secret. */
export class KeyLineError extends Error {}

/** Attributes that are whole numbers, and the limits that they set. */
const limitAttributes = {
  requests_per_minute: 'requestsPerMinute',
  tokens_per_minute: 'tokensPerMinute',
  concurrent_requests: 'concurrentRequests',
  tokens_per_day: 'tokensPerDay',
} as const satisfies Record<string, keyof KeyLimits>;

const attributeNames = [...Object.keys(limitAttributes), 'models', 'scopes', 'priority'];

const maxLimit = 1_000_000_000_000;

const keyIdForm = /^[A-Za-z0-9_-]{1,64}$/;

/** Whether a text can be a key id. */
export function isKeyId(text: string): boolean {
  return keyIdForm.test(text);
}

/** Whether a line is neither blank nor a comment. */
export function holdsKey(line: string): boolean {
  return !/^\s*(#|$)/.test(line);
}

/**
 * Splits a line. An expiration may contain colons and a blank, so the attributes begin at the first blank that `name=`
 * follows.
 * @throws {KeyLineError}
 */
export function splitKeyLine(line: string): KeyLineFields {
  const start = line.search(/\s[A-Za-z_]+\s*=/);
  const head = start < 0 ? line : line.slice(0, start);
  const attributes = splitAttributes(start < 0 ? '' : line.slice(start));
  const [keyId, afterId] = cut(head);
  if (afterId === undefined) throw new KeyLineError('it must have the form key_id:api_key');
  const [secret, afterSecret] = cutSecret(afterId);
  const [rateLimit, expiration] = cut(afterSecret ?? '');
  return {
    keyId: keyId.trim(),
    secret: secret.trim(),
    rateLimit: rateLimit.trim(),
    expiration: (expiration ?? '').trim(),
    attributes,
  };
}

/** Formats a line, without empty fields at its end. */
export function formatKeyLine(fields: KeyLineFields): string {
  const { keyId, secret, rateLimit, expiration, attributes } = fields;
  const head = [keyId, secret, rateLimit, expiration].join(':').replace(/:{1,2}$/, '');
  return [head, ...[...attributes].map(([name, value]) => `${name}=${value}`)].join(' ');
}

/**
 * Validates the parts of a line.
 * @throws {KeyLineError}
 */
export function readKeyLine(fields: KeyLineFields, lineNumber: number): ApiKey {
  const { keyId, secret, attributes } = fields;
  if (!isKeyId(keyId)) {
    throw new KeyLineError('the key id must be 1 to 64 letters, digits, "-" and "_"');
  }
  for (const name of attributes.keys()) {
    if (!attributeNames.includes(name)) throw unknownAttribute(name);
  }
  return {
    keyId,
    digest: readSecret(secret),
    hashed: secret.startsWith(hashPrefix),
    limits: readLimits(fields),
    expiresAt: readExpiration(fields.expiration),
    models: readList(attributes.get('models'), 'models')?.map(decodeModel),
    scopes: readList(attributes.get('scopes'), 'scopes')?.map(toScope),
    priority: readPriority(attributes.get('priority')),
    lineNumber,
  };
}

/** Escapes a model id for a line, where blanks, commas and `%` have a meaning. */
export function encodeModel(id: string): string {
  return id.replace(/[\s,%=]/g, (character) => encodeURIComponent(character));
}

/** The text before the first colon, and the text behind it. */
function cut(text: string): [string, string | undefined] {
  const colon = text.indexOf(':');
  return colon < 0 ? [text, undefined] : [text.slice(0, colon), text.slice(colon + 1)];
}

/** A hash contains a colon; its prefix is too short for a secret, so the two cannot be confused. */
function cutSecret(text: string): [string, string | undefined] {
  const trimmed = text.trimStart();
  if (!trimmed.startsWith(hashPrefix)) return cut(trimmed);
  const [digits, rest] = cut(trimmed.slice(hashPrefix.length));
  return [hashPrefix + digits, rest];
}

function splitAttributes(text: string): Map<string, string> {
  const attributes = new Map<string, string>();
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const [, name, value] = /^([A-Za-z_]+)=(.+)$/.exec(word) ?? [];
    if (name === undefined || value === undefined) {
      throw new KeyLineError('what follows the fields must be name=value, without blanks');
    }
    const key = name.toLowerCase();
    if (attributes.has(key)) throw new KeyLineError(`${key} is there twice`);
    attributes.set(key, value);
  }
  return attributes;
}

function unknownAttribute(name: string): KeyLineError {
  const meant = nearest(name, attributeNames);
  // A long name may be a secret.
  const shown = name.length > 24 ? '' : ` ${name}`;
  return new KeyLineError(
    `unknown attribute${shown}${meant === undefined ? '' : `, did you mean ${meant}?`}`,
  );
}

function readSecret(secret: string): Buffer {
  if (secret.startsWith(hashPrefix)) {
    const digits = secret.slice(hashPrefix.length);
    if (/^[0-9a-f]{64}$/i.test(digits)) return Buffer.from(digits, 'hex');
    throw new KeyLineError(`a hash must be ${hashPrefix} and 64 hexadecimal digits`);
  }
  if (!isSecret(secret)) {
    throw new KeyLineError('the API key must be 16 to 128 letters, digits, "-" and "_"');
  }
  if (isPlaceholder(secret)) {
    throw new KeyLineError('the API key is the placeholder of an example; generate a real one');
  }
  return digestOf(secret);
}

function readLimits({ rateLimit, attributes }: KeyLineFields): KeyLimits {
  const limits: Partial<Record<keyof KeyLimits, number>> = {};
  if (rateLimit !== '') limits.requestsPerMinute = readCount(rateLimit, 'the rate limit');
  for (const [name, limit] of Object.entries(limitAttributes)) {
    const text = attributes.get(name);
    if (text === undefined) continue;
    if (limits[limit] !== undefined) {
      throw new KeyLineError(`${name} is there beside the rate limit, which is the same`);
    }
    limits[limit] = readCount(text, name);
  }
  return limits;
}

function readCount(text: string, name: string): number {
  const count = /^\+?\d+$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= maxLimit) return count;
  throw new KeyLineError(`${name} must be a whole number from 1 to ${maxLimit}`);
}

function readExpiration(text: string): number | undefined {
  if (text === '') return undefined;
  const time = parseIsoTime(text);
  if (time === undefined) throw new KeyLineError('the expiration must be an ISO 8601 date or time');
  return time;
}

function readList(text: string | undefined, name: string): string[] | undefined {
  const entries = text?.split(',');
  if (entries?.includes('')) throw new KeyLineError(`${name} must be names with commas between`);
  return entries;
}

function decodeModel(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new KeyLineError('models must have % written as %25');
  }
}

function toScope(text: string): Scope {
  const scope = scopes.find((each) => each === text.toLowerCase());
  if (scope === undefined) throw new KeyLineError(`scopes must be of ${scopes.join(', ')}`);
  return scope;
}

function readPriority(text: string | undefined): Priority | undefined {
  if (text === undefined) return undefined;
  const priority = priorities.find((each) => each === text.toLowerCase());
  if (priority === undefined) throw new KeyLineError(`priority must be ${priorities.join(' or ')}`);
  return priority;
}
