import { describe, expect, test } from 'vitest';
import type { JsonPattern } from '../../../src/grammar/pattern.ts';
import { shapeOfString } from '../../../src/grammar/string-shape.ts';
import { SeededRandom, testSeed } from '../../../tools/fixtures/seeded-random.ts';
import { sampleGrammar } from '../../support/sample-grammar.ts';

/** The rewritten form of a pattern, between lengths. */
function readPattern(source: string, min = 0, max = Number.POSITIVE_INFINITY): JsonPattern {
  const patterns = source === '' ? [] : [source];
  const { result: shape } = shapeOfString({ patterns, lengths: { min, max } });
  if ('pattern' in shape) return shape.pattern;
  throw new Error(shape.reason);
}

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
    ['^(a*)*$', ['', 'a', 'aaa'], ['b', 'ab']],
    ['^(a?b?)+$', ['', 'ba', 'aab'], ['c']],
    ['^(a|b$)$', ['a', 'b'], ['', 'ab']],
    ['^(?!a)', ['', 'b', 'ba'], ['a', 'ab']],
    ['^(?=.*\\d)(?=.*[a-z]).{3,}$', ['a1-', '--9z'], ['a1', 'abc', '123']],
    ['^(?!.*--)[a-z-]+$', ['a-b', '-'], ['a--b', '']],
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
    expect(readPattern('', 3, 7)).toMatchObject({ minLength: 3, maxLength: 7 });
  });
});

describe('a pattern with lookaheads or a length allows a part of its strings', () => {
  test.each([
    ['^(?=.*\\d)(?=.*[a-z])[a-z\\d]{4,}$', 0, 12, ['1abc', '1a23']],
    ['^(?!x$)[a-z]{2,4}$', 0, 9, ['ab', 'abcd']],
    ['^(?=.{2,4}$)[a-z]+(\\.[a-z]+)*$', 0, 9, ['ab']],
    ['^[a-z]+$', 3, 5, ['abc', 'abcde']],
    ['^[a-z]+-[0-9]*$', 4, 8, ['abc-1', 'abc-']],
    ['^(ab|cde)+$', 0, 6, ['ab', 'cde', 'abab']],
    ['^a{1,9}$', 0, 5, ['a', 'aaaaa']],
    ['^.*$', 300, 70_000, []],
    ['^\\d+\\Z', 2, 3, ['12', '123']],
    ['^(?P<year>\\d{4})$', 0, 9, ['2026']],
    ['^\\p{Lu}[^\\p{L}]$', 0, 9, ['A1', 'Ü-']],
  ])('%s, %i to %i', (source, min, max, matching) => {
    const { source: pattern } = readPattern(source, min, max);
    for (const value of matching) {
      expect(jsonTexts(pattern).test(JSON.stringify(value).slice(1, -1)), value).toBe(true);
    }
    const random = new SeededRandom(testSeed());
    const python = source.replace('\\Z', '$').replace('?P<', '?<');
    for (let round = 0; round < 50; round++) {
      const value = JSON.parse(
        sampleGrammar(`root ::= "\\"" ${pattern.slice(1, -1)} "\\""`, random),
      );
      expect(new RegExp(python, 'u').test(value), value).toBe(true);
      expect([...value].length, value).toBeGreaterThanOrEqual(min);
      expect([...value].length, value).toBeLessThanOrEqual(max);
    }
  });

  test('has as many rules as the logarithm of a long length', () => {
    expect(readPattern('', 0, 60_000).cost).toBeLessThan(600);
  });
});

describe('a pattern is refused', () => {
  test.each([
    ['(', 'is not a regular expression'],
    ['^a(?=b)$', 'proved'],
    ['^(?<=a)b$', 'group'],
    ['^(a)\\1$', '`\\1`'],
    ['^a\\b$', '`\\b`'],
    ['^\\p{Script=Runic}$', 'property'],
    ['^a^b$', 'anchor'],
    ['a$b', 'proved'],
    ['^(^a)$', 'anchor'],
    ['^(a|bc){2001}$', 'more than 2000 times'],
    ['^(a|bc){3000,}$', 'more than 2000 times'],
    ['^\\x00$', 'cannot hold'],
    ['^\\uD83D$', 'surrogate'],
    ['^([a-z]{0,20}){0,20}$', 'ways'],
    ['^(a{0,100}b?){0,100}$', 'ways'],
    [`^${'('.repeat(30)}a${')'.repeat(30)}$`, 'levels deep'],
  ])('%s', (source, reason) => {
    expect(() => readPattern(source)).toThrow(reason);
  });
});
