import { describe, expect, test } from 'vitest';
import { patternOfLength, readPattern } from '../../../src/grammar/pattern.ts';

/** The rewritten pattern as JavaScript reads it; `\U` is of llama.cpp's grammars. */
function jsonTexts(source: string): RegExp {
  return new RegExp(source.replaceAll(/\\U([0-9a-f]{8})/g, '\\u{$1}'), 'u');
}

/** What the rewritten pattern says of a string: it reads the string's JSON text. */
function allows(source: string, value: string): boolean {
  return jsonTexts(readPattern(source).source).test(JSON.stringify(value).slice(1, -1));
}

describe('a rewritten pattern', () => {
  test.each([
    ['^abc$', ['abc'], ['ab', 'abcd', 'xabc']],
    ['abc', ['abc', 'xabcx', '"abc\n'], ['ab c', '']],
    ['^abc', ['abc', 'abcd'], ['xabc']],
    ['abc$', ['abc', 'xabc'], ['abcx']],
    ['^a|b$', ['a', 'ax', 'b', 'xb'], ['xa', 'bx']],
    ['^(?:a|b)$', ['a', 'b'], ['ab', '']],
    ['^$', [''], ['x']],
    ['^a*$', ['', 'a', 'aaaa'], ['b']],
    ['^a+?b$', ['ab', 'aab'], ['b']],
    ['^a{2}$', ['aa'], ['a', 'aaa']],
    ['^a{2,}$', ['aa', 'aaaaa'], ['a']],
    ['^a{1,3}$', ['a', 'aaa'], ['', 'aaaa']],
    ['^a{0}b$', ['b'], ['ab']],
    ['^.$', ['x', '"', '\\', 'ü', '😀'], ['\n', '\r', 'xx', '']],
    ['^[\\s\\S]$', ['\n', '\t', '"', '\\'], ['']],
    ['^"\\\\$', ['"\\'], ['"', '\\"']],
    ['^[^"]$', ['x', '\\', '\n'], ['"']],
    ['^\\d\\D$', ['1a', '1"'], ['11', 'aa']],
    ['^\\w\\W$', ['a-', '_"'], ['aa', '--']],
    ['^\\s\\S$', [' a', '\t"'], ['a ', '  ']],
    ['^[a-c\\d_-]$', ['a', 'c', '5', '_', '-'], ['d', ']']],
    ['^[^a-c]$', ['d', '"'], ['a', 'c']],
    ['^[\\]\\-]$', [']', '-'], ['\\']],
    ['^\\x41\\u0042\\u{1F600}$', ['AB😀'], ['ab']],
    ['^\\.\\/\\(\\)$', ['./()'], ['x/()']],
    ['^(a(b|c)*){1,2}$', ['a', 'abc', 'abab'], ['', 'b', 'aaa']],
    ['^[\\b]$', ['\b'], ['b']],
  ])('%s', (source, matching, others) => {
    for (const value of matching) expect(allows(source, value), JSON.stringify(value)).toBe(true);
    for (const value of others) expect(allows(source, value), JSON.stringify(value)).toBe(false);
    const original = new RegExp(source, 'u');
    for (const value of matching) expect(original.test(value), `${value} by itself`).toBe(true);
    for (const value of others) expect(original.test(value), `${value} by itself`).toBe(false);
  });

  test('knows how long its strings are', () => {
    expect(readPattern('^a{2,5}(b|cd)?$')).toMatchObject({ minLength: 2, maxLength: 7 });
    expect(readPattern('a')).toMatchObject({ minLength: 1, maxLength: Number.POSITIVE_INFINITY });
    expect(patternOfLength(3, 7)).toMatchObject({ minLength: 3, maxLength: 7 });
  });
});

describe('a pattern is refused', () => {
  test.each([
    ['(', 'is not a regular expression'],
    ['^a(?=b)$', 'group'],
    ['^(?!a)$', 'group'],
    ['^(?<x>a)$', 'group'],
    ['^(a)\\1$', '`\\1`'],
    ['^a\\b$', '`\\b`'],
    ['^\\p{L}$', '`\\p`'],
    ['^a^b$', 'anchor'],
    ['a$b', 'anchor'],
    ['^(^a)$', 'anchor'],
    ['^(a|b$)$', 'anchor'],
    ['^(a*)*$', 'may be empty'],
    ['^(a?b?)+$', 'may be empty'],
    ['^a{2001}$', 'more than 2000 times'],
    ['^a{3000,}$', 'more than 2000 times'],
    ['^\\x00$', 'cannot hold'],
    ['^\\uD83D$', 'surrogate'],
    ['^([a-z]{0,20}){0,20}$', 'ways'],
    ['^(a{0,100}b?){0,100}$', 'ways'],
    [`^${'('.repeat(30)}a${')'.repeat(30)}$`, 'levels deep'],
  ])('%s', (source, reason) => {
    expect(() => readPattern(source)).toThrow(reason);
  });
});
