/** GBNF for replies that are plain text: a text that matches a regular expression, or one of several texts. */
import { checkGrammar } from './gbnf.ts';
import { GbnfParser, grammarLimits } from './gbnf-parser.ts';
import { type GrammarNode, type Ranges, subtractRanges } from './grammar-node.ts';
import { type PatternNode, parseWholePattern } from './pattern-parser.ts';
import { GrammarProblem } from './problem.ts';

/** The maximum number of texts to choose from, and of their characters in all. */
export const choiceLimits = { count: 500, size: 16_384 } as const;

/** Characters of a pattern. */
const maxPatternLength = 8192;

/** What no token has: NUL ends llama.cpp's texts, halves of surrogate pairs are no characters. */
const unwritable: Ranges = [
  [0, 0],
  [0xd800, 0xdfff],
];

/**
 * The grammar of all texts that match the whole of `pattern`, which is JavaScript's or Python's.
 * @throws {GrammarProblem} for a pattern that no grammar can express, or whose grammar would be too slow to follow
 */
export function grammarOfPattern(pattern: string): string {
  if (pattern.length > maxPatternLength) {
    throw new GrammarProblem('', `has more than ${maxPatternLength} characters`);
  }
  return checked(`root ::= ${writeNode(readPattern(pattern))}\n`);
}

/**
 * The grammar of exactly one of the texts.
 * @throws {GrammarProblem} for too many texts, or too long ones
 */
export function grammarOfChoices(choices: readonly string[]): string {
  if (choices.length === 0) throw new GrammarProblem('', 'must have at least one text');
  const size = choices.reduce((sum, { length }) => sum + length, 0);
  if (choices.length > choiceLimits.count || size > choiceLimits.size) {
    throw new GrammarProblem(
      '',
      `must have at most ${choiceLimits.count} texts, and ${choiceLimits.size} characters in all`,
    );
  }
  if (choices.some((choice) => choice.includes('\0'))) {
    throw new GrammarProblem('', 'has a NUL character');
  }
  const rules: string[] = [];
  writeChoices('root', [...new Set(choices)].map((choice) => [...choice]).sort(compare), rules);
  return checked(`${rules.join('\n')}\n`);
}

/**
 * A GBNF grammar with one line for each rule, as grammars of whole replies need it to become a part of them.
 * @throws {GrammarProblem} for a grammar that llama.cpp must not be given
 */
export function grammarInLines(source: string): string {
  checkGrammar(source);
  const rules = [...new GbnfParser(source).parse()];
  const lines = rules.map(([name, node]) => `${name} ::= ${writeNode(node)}\n`);
  return checked(lines.join(''));
}

/** True for a grammar that is written in Lark's form instead of GBNF. */
export function isLark(grammar: string): boolean {
  return (
    !grammar.includes('::=') && /^\s*(?:%\w+|[?!]?_?[A-Za-z]\w*(?:\.-?\d+)?\s*:)/m.test(grammar)
  );
}

function readPattern(pattern: string): PatternNode {
  try {
    return parseWholePattern(pattern);
  } catch (error) {
    throw new GrammarProblem('', error instanceof Error ? error.message : String(error));
  }
}

function checked(grammar: string): string {
  if (grammar.length > grammarLimits.size) {
    throw new GrammarProblem('', `needs a grammar of more than ${grammarLimits.size} characters`);
  }
  checkGrammar(grammar);
  return grammar;
}

function writeNode(group: PatternNode | GrammarNode): string {
  const node = inside(group);
  switch (node.type) {
    case 'set':
      return writeSet(node.ranges);
    case 'rule':
      return node.name;
    case 'look':
      throw new GrammarProblem('', 'has a lookahead, which a grammar of texts has no form for');
    case 'sequence':
      return writeSequence(node.items);
    case 'choice':
      return `(${node.items.map(writeNode).join(' | ')})`;
    case 'repeat': {
      const { min, max } = node;
      const item = inside(node.item);
      const isGroup = item.type === 'sequence' || item.type === 'repeat';
      return (isGroup ? `(${writeNode(item)})` : writeNode(item)) + writeBounds(min, max);
    }
  }
}

/** What a group of one member holds. */
function inside(node: PatternNode | GrammarNode): PatternNode | GrammarNode {
  const isGroup = node.type === 'choice' || node.type === 'sequence';
  const [only, second] = isGroup ? node.items : [];
  return only === undefined || second !== undefined ? node : inside(only);
}

/** Neighbouring characters become one literal. */
function writeSequence(items: readonly (PatternNode | GrammarNode)[]): string {
  const parts: string[] = [];
  let literal: string[] = [];
  const endLiteral = () => {
    if (literal.length > 0) parts.push(writeText(literal));
    literal = [];
  };
  for (const item of items) {
    const code = characterOf(item);
    if (code === undefined) {
      endLiteral();
      parts.push(writeNode(item));
    } else literal.push(String.fromCodePoint(code));
  }
  endLiteral();
  return parts.length === 0 ? '""' : parts.join(' ');
}

/** The code of a set of one character that a token can have. */
function characterOf(node: PatternNode | GrammarNode): number | undefined {
  if (node.type !== 'set' || node.ranges.length !== 1) return undefined;
  const [[low, high] = [0, 1]] = node.ranges;
  return low === high && subtractRanges(node.ranges, unwritable).length > 0 ? low : undefined;
}

function writeBounds(min: number, max: number): string {
  if (Number.isFinite(max)) return `{${min},${max}}`;
  if (min <= 1) return min === 0 ? '*' : '+';
  return `{${min},}`;
}

function writeSet(ranges: Ranges): string {
  const plain = subtractRanges(ranges, unwritable);
  if (plain.length === 0) throw new GrammarProblem('', 'asks for a character that no token has');
  return `[${plain
    .map(([low, high]) => (low === high ? writeCode(low) : `${writeCode(low)}-${writeCode(high)}`))
    .join('')}]`;
}

/**
 * Rules of texts that are sorted. Equal beginnings are written once, because llama.cpp follows every reading of a text at
 * the same time.
 */
function writeChoices(name: string, texts: readonly (readonly string[])[], rules: string[]): void {
  const index = rules.push('') - 1;
  const branches: string[] = [];
  for (let begin = 0; begin < texts.length; ) {
    const first = texts[begin] ?? [];
    let end = begin + 1;
    while (end < texts.length && texts[end]?.[0] === first[0] && first.length > 0) end += 1;
    const group = texts.slice(begin, end);
    begin = end;
    if (group.length === 1) {
      branches.push(writeText(first));
      continue;
    }
    const shared = commonLength(group);
    const rest = `c${rules.length}`;
    branches.push(`${writeText(first.slice(0, shared))} ${rest}`);
    writeChoices(
      rest,
      group.map((text) => text.slice(shared)),
      rules,
    );
  }
  rules[index] = `${name} ::= ${branches.join(' | ')}`;
}

/** Of sorted texts: what the first and the last have in common, all have. */
function commonLength(texts: readonly (readonly string[])[]): number {
  const [first, last] = [texts[0] ?? [], texts.at(-1) ?? []];
  const difference = first.findIndex((character, index) => character !== last[index]);
  return difference === -1 ? first.length : difference;
}

function compare(one: readonly string[], other: readonly string[]): number {
  const [first, second] = [one.join(''), other.join('')];
  if (first === second) return 0;
  const at = commonLength([one, other]);
  return (one[at]?.codePointAt(0) ?? -1) - (other[at]?.codePointAt(0) ?? -1);
}

function writeText(characters: readonly string[]): string {
  return `"${characters.map((character) => writeCode(character.codePointAt(0) ?? 0)).join('')}"`;
}

function writeCode(code: number): string {
  const character = String.fromCodePoint(code);
  if (/^[0-9A-Za-z ]$/.test(character)) return character;
  return `\\U${code.toString(16).padStart(8, '0')}`;
}
