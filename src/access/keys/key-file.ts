import type { ApiKey } from './api-key.ts';
import { holdsKey, KeyLineError, readKeyLine, splitKeyLine } from './key-line.ts';
import { guessableBits, hashPrefix, weakBits } from './secret.ts';

/** A remark about a line of the file, without any secret. */
export interface LineNote {
  /** From 1. */
  readonly line: number;
  readonly reason: string;
}

/** One line of the file: blank or a comment, a key, or an invalid line, which is skipped. */
export type KeyFileLine =
  | { readonly kind: 'other'; readonly text: string }
  | { readonly kind: 'key'; readonly text: string; readonly key: ApiKey }
  | { readonly kind: 'invalid'; readonly text: string; readonly note: LineNote };

/** The content of a key file. */
export interface KeyFile {
  readonly lines: readonly KeyFileLine[];
  readonly keys: readonly ApiKey[];
  /** Skipped lines, with the reason. */
  readonly skipped: readonly LineNote[];
  /** Remarks about valid lines. */
  readonly warnings: readonly LineNote[];
}

/** Parses the text of a key file. Accepts a byte order mark and Windows line ends. */
export function parseKeyFile(text: string): KeyFile {
  const warnings: LineNote[] = [];
  const lineBySecret = new Map<string, number>();
  const lineById = new Map<string, number>();
  const lines = linesOf(text).map((line, index) => {
    const parsed = parseLine(line, index + 1, lineBySecret);
    if (parsed.kind === 'key') warnings.push(...oddities(parsed, lineById));
    return parsed;
  });
  return {
    lines,
    keys: lines.flatMap((line) => (line.kind === 'key' ? [line.key] : [])),
    skipped: lines.flatMap((line) => (line.kind === 'invalid' ? [line.note] : [])),
    warnings,
  };
}

function linesOf(text: string): string[] {
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

function parseLine(
  text: string,
  lineNumber: number,
  lineBySecret: Map<string, number>,
): KeyFileLine {
  if (!holdsKey(text)) return { kind: 'other', text };
  try {
    const key = readKeyLine(splitKeyLine(text), lineNumber);
    const digest = key.digest.toString('hex');
    const earlier = lineBySecret.get(digest);
    if (earlier !== undefined) {
      throw new KeyLineError(`the API key is the one of line ${earlier}, which counts`);
    }
    lineBySecret.set(digest, lineNumber);
    return { kind: 'key', text, key };
  } catch (error) {
    if (!(error instanceof KeyLineError)) throw error;
    return { kind: 'invalid', text, note: { line: lineNumber, reason: error.message } };
  }
}

function oddities(
  { text, key }: KeyFileLine & { readonly kind: 'key' },
  lineById: Map<string, number>,
): LineNote[] {
  const { keyId, lineNumber: line } = key;
  const reasons: string[] = [];
  const earlier = lineById.get(keyId);
  if (earlier === undefined) lineById.set(keyId, line);
  else {
    reasons.push(
      `the key id ${keyId} is also on line ${earlier}; both keys are valid and share their limits`,
    );
  }
  const { secret } = splitKeyLine(text);
  if (!secret.startsWith(hashPrefix) && guessableBits(secret) < weakBits) {
    reasons.push(`the API key of ${keyId} is easy to guess; generate a longer one`);
  }
  return reasons.map((reason) => ({ line, reason }));
}
