/** GBNF for replies that are plain text: a text that matches a regular expression, or one of several texts. */
import { checkGrammar } from './gbnf.ts';
import { GbnfParser, grammarLimits } from './gbnf-parser.ts';
import { type GrammarNode, maxRepetition, type Ranges, subtractRanges } from './grammar-node.ts';
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
  return checked(new RuleLines().write('root', readPattern(pattern)));
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
  const lines = new RuleLines();
  const rules = [...new GbnfParser(source).parse()];
  return checked(rules.map(([name, node]) => lines.write(name, node)).join(''));
}

/** True for a grammar that is written in Lark's form instead of GBNF. */
export function isLark(grammar: string): boolean {
  return (
    !grammar.includes('::=') &&
    /^[ \t]*(?:%\w+|[?!]?_?[A-Za-z]\w*(?:\.-?\d+)?[ \t]*:)/m.test(grammar)
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
  if (!checkGrammar(grammar)) {
    throw new GrammarProblem('', `repeats more than ${maxRepetition} times`);
  }
  return grammar;
}

/** Writes rules on one line each. */
class RuleLines {
  #names = 0;
  #further: string[] = [];

  /** The line of a rule, and of those that it needs. */
  write(name: string, node: PatternNode | GrammarNode): string {
    this.#further = [];
    return [`${name} ::= ${this.#node(node)}\n`, ...this.#further].join('');
  }

  #node(group: PatternNode | GrammarNode): string {
    const node = inside(group);
    switch (node.type) {
      case 'set':
        return writeSet(node.ranges);
      case 'rule':
        return node.name;
      case 'look':
        throw new GrammarProblem('', 'has a lookahead, which a grammar of texts has no form for');
      case 'sequence':
        return this.#sequence(node.items);
      case 'choice':
        return `(${node.items.map((item) => this.#node(item)).join(' | ')})`;
      case 'repeat': {
        const { min, max } = node;
        const item = inside(node.item);
        const isGroup = item.type === 'sequence' || item.type === 'repeat';
        const text = isGroup ? `(${this.#node(item)})` : this.#node(item);
        return (isNamed(node) ? this.#rule(text) : text) + writeBounds(min, max);
      }
    }
  }

  /** llama.cpp multiplies the rules that it makes of a group with its repetitions, and refuses many: a name is one. */
  #rule(body: string): string {
    this.#names += 1;
    const name = `repeated-7f3a-${this.#names}`;
    this.#further.push(`${name} ::= ${body}\n`);
    return name;
  }

  /** Neighbouring characters become one literal. */
  #sequence(items: readonly (PatternNode | GrammarNode)[]): string {
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
        parts.push(this.#node(item));
      } else literal.push(String.fromCodePoint(code));
    }
    endLiteral();
    return parts.length === 0 ? '""' : parts.join(' ');
  }
}

/** Rules that llama.cpp may make of one group and its repetitions; it refuses more than `maxRepetition`. */
const maxGroupRules = maxRepetition / 2;

/** The rules that llama.cpp makes of an item, at most: of groups, repetitions and references in it. */
function ruleCountOf(group: PatternNode | GrammarNode): number {
  const item = inside(group);
  switch (item.type) {
    case 'set':
    case 'rule':
    case 'look':
      return 1;
    case 'repeat': {
      const optionalCount = Number.isFinite(item.max) ? item.max - item.min : 1;
      return (isNamed(item) ? 1 : ruleCountOf(item.item)) + optionalCount;
    }
    default:
      return 1 + item.items.reduce((sum, each) => sum + ruleCountOf(each), 0);
  }
}

/** Whether the repeated item gets a rule of its own. */
function isNamed({
  item,
  min,
  max,
}: {
  item: PatternNode | GrammarNode;
  min: number;
  max: number;
}) {
  return ruleCountOf(item) * Math.max(1, Number.isFinite(max) ? max : min) > maxGroupRules;
}

/** What a group of one member holds. */
function inside(node: PatternNode | GrammarNode): PatternNode | GrammarNode {
  const isGroup = node.type === 'choice' || node.type === 'sequence';
  const [only, second] = isGroup ? node.items : [];
  return only === undefined || second !== undefined ? node : inside(only);
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
