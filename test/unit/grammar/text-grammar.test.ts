import { describe, expect, test } from 'vitest';
import { checkGrammar } from '../../../src/grammar/gbnf.ts';
import { GrammarProblem } from '../../../src/grammar/problem.ts';
import {
  grammarInLines,
  grammarOfChoices,
  grammarOfPattern,
  isLark,
} from '../../../src/grammar/text-grammar.ts';

describe('the grammar of a pattern', () => {
  test.each([
    ['[0-9]{3}', 'root ::= [0-9]{3,3}\n'],
    ['^a+$', 'root ::= [a]+\n'],
    ['yes|no', 'root ::= ("yes" | "no")\n'],
    ['^yes$|^no$', 'root ::= ("yes" | "no")\n'],
    ['\\Aab?\\Z', 'root ::= "a" [b]{0,1}\n'],
    ['(?P<year>[0-9]{4,})', 'root ::= [0-9]{4,}\n'],
    ['(?<year>[0-9])x', 'root ::= [0-9] "x"\n'],
    ['(ab)+(?:c{2})*', 'root ::= ("ab")+ ([c]{2,2})*\n'],
    ['\\\\Z', 'root ::= "\\U0000005cZ"\n'],
    ['', 'root ::= ""\n'],
    ['"\\n', 'root ::= "\\U00000022\\U0000000a"\n'],
    ['é', 'root ::= [\\U000000e9]\n'],
    ['[\\x00a]', 'root ::= [a]\n'],
  ])('%j', (pattern, grammar) => {
    expect(grammarOfPattern(pattern)).toBe(grammar);
  });

  test('allows every character that a token can have', () => {
    const grammar = grammarOfPattern('[^a]*.');
    expect(grammar).not.toContain('\\U00000000');
    expect(grammar).not.toContain('\\U0000d800');
    expect(() => checkGrammar(grammar)).not.toThrow();
  });

  test.each([
    ['(?=a)b', /lookahead/],
    ['(?<=a)b', /group/],
    ['(a', /regular expression/],
    ['\\bword\\b', /escape/],
    ['(a*)*', /without end|ways/],
    ['(a?){200}b', /ways/],
    ['a{3000}', /2000/],
    ['\\0', /escape/],
    ['[\\x00]', /no token/],
    ['x'.repeat(9000), /8192/],
  ])('is refused for %j', (pattern, reason) => {
    expect(() => grammarOfPattern(pattern)).toThrow(GrammarProblem);
    expect(() => grammarOfPattern(pattern)).toThrow(reason);
  });
});

describe('the grammar of choices', () => {
  test.each([
    [['yes'], 'root ::= "yes"\n'],
    [['yes', 'no', 'yes'], 'root ::= "no" | "yes"\n'],
    [['ab', 'a'], 'root ::= "a" c1\nc1 ::= "" | "b"\n'],
    [['', 'x'], 'root ::= "" | "x"\n'],
    [['say "hi"'], 'root ::= "say \\U00000022hi\\U00000022"\n'],
    [['café', 'cat'], 'root ::= "ca" c1\nc1 ::= "f\\U000000e9" | "t"\n'],
  ])('%j', (choices, grammar) => {
    expect(grammarOfChoices(choices)).toBe(grammar);
  });

  test('writes equal beginnings once, so that many choices stay one reading', () => {
    const choices = Array.from({ length: 500 }, (_, index) => `option number ${index}`);
    const grammar = grammarOfChoices(choices);
    expect(grammar.match(/option number/g)).toHaveLength(1);
    expect(() => checkGrammar(grammar)).not.toThrow();
    const nested = Array.from({ length: 180 }, (_, index) => 'a'.repeat(index));
    expect(() => checkGrammar(grammarOfChoices(nested))).not.toThrow();
  });

  test.each([
    ['none', []],
    ['too many', Array.from({ length: 501 }, String)],
    ['too long ones', ['x'.repeat(20_000)]],
    ['a NUL character', ['a\0']],
  ])('is refused for %s', (_, choices) => {
    expect(() => grammarOfChoices(choices)).toThrow(GrammarProblem);
  });
});

describe('a grammar with one line for each rule', () => {
  test.each([
    ['root ::= "a"', 'root ::= [a]\n'],
    [
      '# what it says\nroot ::=\n  "a" | ( word\n | [x] )*  # more\nword ::= [a-z]{2,3}\n',
      'root ::= ([a] | (word | [x])*)\nword ::= [a-z]{2,3}\n',
    ],
    ['root ::= "say \\"hi\\"\\n"', 'root ::= "say \\U00000022hi\\U00000022\\U0000000a"\n'],
    ['root ::= ""', 'root ::= ""\n'],
  ])('%j', (source, expected) => {
    expect(grammarInLines(source)).toBe(expected);
    expect(grammarInLines(expected)).toBe(expected);
  });

  test('is refused like any other', () => {
    expect(() => grammarInLines('root ::= root "a"')).toThrow(GrammarProblem);
  });
});

describe('a grammar in another form', () => {
  test.each([
    ['start: "a" | "b"', true],
    ['%import common.WORD\nstart: WORD', true],
    ['?start: sum\nsum: NUMBER', true],
    ['NUMBER.2: /[0-9]+/', true],
    ['root ::= "start: a"', false],
    ['# root: nothing', false],
    ['', false],
  ])('%j is Lark: %j', (grammar, expected) => {
    expect(isLark(grammar)).toBe(expected);
  });
});
