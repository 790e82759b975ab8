import { describe, expect, test } from 'vitest';
import { patternOfLark } from '../../../src/grammar/lark.ts';
import { grammarOfPattern } from '../../../src/grammar/text-grammar.ts';

/** The grammar of patches that Codex sends with its `apply_patch`. */
const patch = `
start: begin_patch hunk+ end_patch
begin_patch: "*** Begin Patch" LF
end_patch: "*** End Patch" LF?

hunk: add_hunk | delete_hunk | update_hunk
add_hunk: "*** Add File: " filename LF add_line+
delete_hunk: "*** Delete File: " filename LF
update_hunk: "*** Update File: " filename LF change_move? change?

filename: /(.+)/
add_line: "+" /(.*)/ LF -> line

change_move: "*** Move to: " filename LF
change: (change_context | change_line)+ eof_line?
change_context: ("@@" | "@@ " /(.+)/) LF
change_line: ("+" | "-" | " ") /(.*)/ LF
eof_line: "*** End of File" LF

%import common.LF
`;

function matches(grammar: string, text: string): boolean {
  return new RegExp(`^(?:${patternOfLark(grammar)})$`, 'u').test(text);
}

describe('a grammar in Lark', () => {
  test.each([
    ['start: "a"', ['a'], ['', 'b', 'aa']],
    ['start: "a" "b"? | c+\nc: "c"', ['a', 'ab', 'c', 'ccc'], ['b', 'ac']],
    ['start: ("x" | "y")~2', ['xy', 'yy'], ['x', 'xyx']],
    ['start: "x"~1..3', ['x', 'xxx'], ['', 'xxxx']],
    ['start: ["-"] INT\n%import common.INT', ['-12', '3'], ['', '--1', 'a']],
    ['start: "SELECT"i', ['select', 'SeLeCt'], ['SELEC']],
    ['start: "a".."f"', ['a', 'f'], ['g', 'ab']],
    ['start: WORD (", " WORD)*\nWORD: /[a-z]+/', ['a', 'ab, c'], ['a,b', 'A']],
    ['start: /a.b/s', ['a\nb', 'axb'], ['ab']],
    ['start: /a.b/', ['axb'], ['a\nb']],
    ['start: "\\n" "\\"" "\\x41"', ['\n"A'], ['n"A']],
    ['?start: one\n  | two\none.2: "1" -> first\n!two: "2"', ['1', '2'], ['12']],
    [
      '// a comment\nstart: "(" NAME ")" // behind\n%import common.CNAME -> NAME',
      ['(a_1)'],
      ['()'],
    ],
    ['start: NUMBER\n%import common (NUMBER, WS)\n%ignore WS', ['1.5', '2'], ['a']],
    [patch, [], []],
  ])('%j is its pattern', (grammar, allowed, refused) => {
    for (const text of allowed) expect(matches(grammar, text), text).toBe(true);
    for (const text of refused) expect(matches(grammar, text), text).toBe(false);
  });

  test('of patches allows patches, and can be enforced', () => {
    const valid = [
      '*** Begin Patch\n*** Add File: a.txt\n+hello\n+\n*** End Patch',
      '*** Begin Patch\n*** Update File: a b.ts\n*** Move to: c.ts\n@@ class A\n x\n-y\n+z\n*** End of File\n*** Delete File: d\n*** End Patch\n',
    ];
    for (const text of valid) expect(matches(patch, text), text).toBe(true);
    const invalid = ['', '*** Begin Patch\n*** End Patch', `${valid[0]}\nmore`, valid[0]?.slice(5)];
    for (const text of invalid) expect(matches(patch, text ?? ''), text).toBe(false);
    expect(grammarOfPattern(patternOfLark(patch))).toContain('root ::=');
  });

  test.each([
    ['start: "a" start | "b"', 'has the rule `start`, which contains itself'],
    ['start: a\na: b\nb: "(" a ")" | "x"', 'has the rule `a`, which contains itself'],
    ['a: "b"', 'has no rule `start`'],
    ['start: b', 'has no rule `b`'],
    ['start: "a', 'cannot be read at line 1'],
    ['start: ("a"', 'ends within a rule'],
    ['start: )', 'cannot be read at line 1, at `)`'],
    ['start: /a/x', 'has a pattern with the flag `x`'],
    ['start: /^a$/m', 'has a pattern with the flag `m`'],
    ['start: "a"~-1', 'has a repetition without a number, or with numbers out of order'],
    ['start: "a"~3..1', 'numbers out of order'],
    ['start: "ab".."z"', 'has a range at line 1 that is not of two characters in order'],
    ['start: "z".."a"', 'not of two characters in order'],
    [`start: ${'('.repeat(5000)}"a"${')'.repeat(5000)}`, 'is nested more than 200 levels deep'],
    [
      `start: a0\n${Array.from({ length: 2000 }, (_, i) => `a${i}: a${i + 1}`).join('\n')}\na2000: "x"`,
      'is nested more than 200 levels deep',
    ],
    ['start: X\n%import python.X', 'imports `python` at line 2'],
    ['start: X\n%import common.X', 'imports `common.X`'],
    ['%extend a: "b"\nstart: "a"', 'has `%extend` at line 1'],
    [`start: ${'"aaaaaaaaaa" '.repeat(7000)}`, 'has more than 65536 characters'],
    [
      `start: a0 a0\n${Array.from({ length: 20 }, (_, i) => `a${i}: a${i + 1} a${i + 1}`).join('\n')}\na20: "x"`,
      'needs a pattern of more than 65536 characters',
    ],
  ])('%j is refused: %s', (grammar, reason) => {
    expect(() => patternOfLark(grammar)).toThrow(reason);
  });
});
