import { createHash, randomBytes } from 'node:crypto';

/** Prefix of a digest in a file that contains hashes instead of secrets. */
export const hashPrefix = 'sha256:';

const form = /^[A-Za-z0-9_-]{16,128}$/;

/** A new secret: `sk-` and 32 random bytes as 43 characters. */
export function generateSecret(): string {
  return `sk-${randomBytes(32).toString('base64url')}`;
}

/** Whether a text has the form of a secret: 16 to 128 ASCII letters, digits, `-` and `_`. */
export function isSecret(text: string): boolean {
  return form.test(text);
}

/**
 * The SHA-256 digest by which secrets are compared. A fast hash without salt is enough, because secrets are random and
 * long; {@link guessableBits} finds secrets that are not.
 */
export function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** The form of a secret in a file that must not reveal it. */
export function hashOf(secret: string): string {
  return hashPrefix + digestOf(secret).toString('hex');
}

const exampleWords = new Set([
  ...['your', 'yourkey', 'change', 'changeme', 'changethis', 'replace', 'replaceme', 'example'],
  ...['placeholder', 'dummy', 'sample', 'insert', 'todo', 'secret', 'password', 'apikey'],
]);

/** Characters that make a part of a secret random: examples have shorter words with letters and digits (`v2`, `key1`). */
const randomPartLength = 10;

/** Longer words of letters alone, or of digits alone, are no words of an example either. */
const longWordLength = 16;
const longNumberLength = 12;

/**
 * Whether a secret is copied from an example and so publicly known: one of its words says so and no other part of it is
 * random, or more than half of it is runs such as `abc`, `123` and `000`. A random secret is practically never either.
 */
export function isPlaceholder(secret: string): boolean {
  const words = secret.split(/[-_]+/);
  const isExample = words.some((word) => exampleWords.has(word.toLowerCase()));
  if (isExample && !hasRandomPart(words)) return true;
  const body = secret.replace(/^sk-/, '').toLowerCase();
  return charactersInRuns(body) * 2 > body.length;
}

/** Whether some words are neither words of a language nor numbers that people choose. */
function hasRandomPart(words: readonly string[]): boolean {
  if (lengthWithoutRuns(words.filter(isIrregular).join('')) >= randomPartLength) return true;
  return words
    .flatMap((word) => word.split(/(?=[A-Z][a-z])/))
    .some((word) => {
      const minLength = /^\d+$/.test(word) ? longNumberLength : longWordLength;
      return lengthWithoutRuns(word) >= minLength;
    });
}

/** Whether a word mixes letters and digits, or cases in another way than `CamelCase`. */
function isIrregular(word: string): boolean {
  const mixesDigits = /\d/.test(word) && /[a-z]/i.test(word);
  return mixesDigits || (/[A-Z][a-z]?[A-Z]/.test(word) && /[a-z]/.test(word));
}

function lengthWithoutRuns(text: string): number {
  return text.length - charactersInRuns(text.toLowerCase());
}

/** Number of characters in runs of three or more equal or consecutive characters. */
function charactersInRuns(text: string): number {
  let count = 0;
  let start = 0;
  for (let index = 1; index <= text.length; index++) {
    const step = text.charCodeAt(index) - text.charCodeAt(index - 1);
    const goesOn =
      index < text.length &&
      (step === 0 || step === 1) &&
      (index - start < 2 || step === text.charCodeAt(start + 1) - text.charCodeAt(start));
    if (goesOn) continue;
    if (index - start >= 3) count += index - start;
    start = index;
  }
  return count;
}

/** Entropy in bits of a random secret of this length and alphabet. */
export function guessableBits(secret: string): number {
  return Math.floor(secret.length * Math.log2(new Set(secret).size));
}

/** Below this entropy a secret may be guessed, or found from its hash. */
export const weakBits = 64;
