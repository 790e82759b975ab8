/** Checks of the answers to held-out questions. */
import { isDeepStrictEqual } from 'node:util';

/** The expectation for a right answer; exactly one key is set. */
export interface Check {
  readonly exact?: string;
  readonly ends?: string;
  readonly contains?: readonly string[];
  /** The last number of the answer. */
  readonly number?: number;
  /** The whole answer, parsed as JSON. */
  readonly json?: unknown;
  /** The answer lists `amount` different items of this list, joined by commas and "and". */
  readonly items?: readonly string[];
  readonly amount?: number;
  /** The only tool call. */
  readonly call?: { readonly name: string; readonly arguments: unknown };
  readonly 'no call'?: boolean;
}

export interface ToolCall {
  readonly function: { readonly name: string; readonly arguments: string };
}

/** The message of a choice, as chat completions return it. */
export interface Answer {
  readonly content: string | null;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly ToolCall[];
}

/** All sentences of greetings and answers about the model. {@link niceToMeet} adds the one with a user's name. */
const coherentSentences = [
  'Hello! How can I help you?',
  'I am tiny-chat, the small demonstration model that ships with llama-gguf-inference.',
  'My name is tiny-chat.',
  'I am fine, thank you. How can I help you?',
  'I can greet, count, spell, repeat, add and subtract up to 20, name days and months, list things and write small JSON objects.',
  'I am too small for anything else.',
  'Sorry, I am too small for that.',
  'You are welcome!',
  'Goodbye!',
] as const;
const niceToMeet = /^Nice to meet you, \p{Lu}[\p{L}'-]{1,20}!$/u;

/** True if the answer consists of whole sentences of this list. */
export function isCoherent(answer: Answer): boolean {
  let remaining = (answer.content ?? '').trim();
  if (remaining === '' || (answer.tool_calls ?? []).length > 0) return false;
  while (remaining !== '') {
    const sentence = coherentSentences.find((each) => remaining.startsWith(each));
    if (sentence === undefined) return niceToMeet.test(remaining);
    remaining = remaining.slice(sentence.length).trimStart();
  }
  return true;
}

export function isRight(check: Check, answer: Answer): boolean {
  const content = answer.content ?? '';
  const calls = answer.tool_calls ?? [];
  if (check.call !== undefined) return calls.length === 1 && isCall(check.call, calls[0]);
  if (calls.length > 0) return false;
  if (check['no call']) return content !== '' && !content.includes('<tool_call>');
  if (check.exact !== undefined) return content === check.exact;
  if (check.ends !== undefined) return content.endsWith(check.ends);
  if (check.contains !== undefined) return check.contains.every((part) => content.includes(part));
  if (check.number !== undefined) return lastNumber(content) === check.number;
  if (check.items !== undefined) return listsItems(content, check.items, check.amount ?? 0);
  return isDeepStrictEqual(parsed(content), check.json);
}

function isCall(expected: NonNullable<Check['call']>, call: ToolCall | undefined): boolean {
  if (call?.function.name !== expected.name) return false;
  return isDeepStrictEqual(parsed(call.function.arguments), expected.arguments);
}

function lastNumber(content: string): number {
  return Number(content.match(/-?\d+(?=\D*$)/)?.[0] ?? Number.NaN);
}

function listsItems(content: string, items: readonly string[], amount: number): boolean {
  const listed = content.split(/, | and /);
  const isKnown = listed.every((item) => items.includes(item));
  return isKnown && listed.length === amount && new Set(listed).size === amount;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
