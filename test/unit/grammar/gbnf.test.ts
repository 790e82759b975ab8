import { describe, expect, test } from 'vitest';
import { checkGrammar } from '../../../src/grammar/gbnf.ts';
import { GrammarProblem } from '../../../src/grammar/problem.ts';

describe('a grammar is accepted', () => {
  test.each([
    ['one rule', 'root ::= "yes" | "no"'],
    [
      'comments, line breaks and groups over lines',
      '# x\nroot ::= a ( # y\n  "b"\n | a )\na ::= "a"\r\n',
    ],
    ['an alternative that is empty', 'root ::= "a" b "c"\nb ::= "b" |'],
    ['escapes', 'root ::= "\\x41\\u00e9\\U0001F600\\t\\r\\n\\\\\\"" [\\[\\]\\-a-z^]'],
    ['every repetition', 'root ::= [a-z]* [^0-9]+ "x"? "y"{3} "z"{2,} .{1,5}'],
    ['right recursion', 'root ::= "a" root | "b"'],
    ['nesting', 'root ::= "(" root ")" | "x"'],
    [
      'JSON',
      `root ::= object
value ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}" ws
array ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\\"" ([^"\\\\\\x7F\\x00-\\x1F] | "\\\\" (["\\\\bfnrt] | "u" [0-9a-fA-F]{4}))* "\\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\\n" [ \\t]{0,20}`,
    ],
  ])('with %s', (_name, source) => {
    expect(() => checkGrammar(source)).not.toThrow();
  });
});

describe('a grammar is refused', () => {
  const nested = `root ::= ${'('.repeat(40)}"a"${')'.repeat(40)}`;
  test.each([
    ['nothing', '', 'no rule `root`'],
    ['another language', '%llguidance {}\nstart: "a"', '%llguidance'],
    ['no root', 'a ::= "b"', 'no rule `root`'],
    ['a rule that is not there', 'root ::= word', 'no rule `word`'],
    ['a rule twice', 'root ::= "a"\nroot ::= "b"', 'two rules `root`'],
    ['no end of a group', 'root ::= ("a"', '`)` in line 1'],
    ['no end of a literal', 'root ::= "a', 'closing quote'],
    ['no end of a class', 'root ::= [a', 'closing quote or bracket'],
    ['text that is no rule', 'root ::= "a"\n%', 'the name of a rule in line 2'],
    ['an underscore', 'root ::= a_b', 'the end of the rule'],
    ['an unknown escape', 'root ::= "\\q"', 'escape'],
    ['a NUL', 'root ::= "a\0b"', 'NUL'],
    ['a NUL as an escape', 'root ::= "\\x00"', 'no token can have'],
    ['half of a surrogate pair', 'root ::= "\\ud800"', 'no token can have'],
    ['a code beyond Unicode', 'root ::= "\\U00110000"', 'no token can have'],
    ['a class of NUL', 'root ::= [\\x00]', 'no character is in'],
    ['an empty class', 'root ::= []', 'between brackets'],
    ['a class of nothing', 'root ::= [^\\x01-\\U0010FFFF]', 'no character is in'],
    ['a range backwards', 'root ::= [z-a]', 'ends before it begins'],
    ['a token', 'root ::= <|im_end|>', 'token'],
    ['a token id', 'root ::= !<[1]>', 'token'],
    ['nothing to repeat', 'root ::= *', 'something to repeat'],
    ['a repetition backwards', 'root ::= "a"{5,3}', 'at least 5 and at most 3'],
    ['too many repetitions', 'root ::= "a"{2001}', 'more than 2000 times'],
    [
      'too many repetitions at most',
      'root ::= "a"{1,99999999999999999999}',
      'more than 2000 times',
    ],
    ['repetitions of repetitions', 'root ::= "a"????????', 'too often'],
    ['too much written out', `root ::= "${'a'.repeat(1000)}"{2000}`, 'elements'],
    ['groups too deep', nested, '32 levels deep'],
    [
      'too many rules',
      Array.from({ length: 1001 }, (_, i) => `r${i} ::= "a"`).join('\n'),
      '1000 rules',
    ],
    ['too much text', `root ::= "a" ${'#'.repeat(70_000)}`, 'characters'],
    ['left recursion', 'root ::= root "a" | "b"', 'begins with itself'],
    ['left recursion of two', 'root ::= a\na ::= b "x"\nb ::= a | "y"', 'begins with itself'],
    // llama.cpp does not see that `e` may be empty, and reads for ever.
    [
      'left recursion past nothing',
      'root ::= e root "b" | "c"\ne ::= f f\nf ::= "x" |',
      'begins with itself',
    ],
    ['endless nothing', 'root ::= ("a"?)*', 'may be empty'],
    ['endless nothing of a rule', 'root ::= a+\na ::= "x"*', 'may be empty'],
    ['doubling readings', 'root ::= s\ns ::= "a" s "x" | "a" s "y" | "b"', 'ways'],
    ['doubling spaces', 'root ::= s\ns ::= " " s x | " " s y | "b"\nx ::= "b"\ny ::= "b"', 'ways'],
    ['repetitions in each other', 'root ::= ([a-z]{0,30}){0,30}', 'ways'],
  ])('with %s', (_name, source, reason) => {
    expect(() => checkGrammar(source)).toThrow(GrammarProblem);
    expect(() => checkGrammar(source)).toThrow(reason);
  });
});
