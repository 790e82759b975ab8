/**
 * Checks GBNF grammars before llama.cpp reads them. llama.cpp aborts the process on some grammars, never finishes
 * others (`"a"{5,3}`), and misreads a few (more than 2000 repetitions become endless).
 */
import { checkAmbiguity } from './ambiguity.ts';
import { GbnfParser, grammarLimits } from './gbnf-parser.ts';
import type { GrammarNode, GrammarRules } from './grammar-node.ts';
import { GrammarProblem } from './problem.ts';

/**
 * @returns whether llama.cpp can read the grammar; one that repeats too much at once can be written in another form
 * @throws {GrammarProblem} for a grammar that llama.cpp must not be given
 */
export function checkGrammar(source: string): boolean {
  if (source.length > grammarLimits.size) {
    throw new GrammarProblem('', `has more than ${grammarLimits.size} characters`);
  }
  if (source.startsWith('%llguidance')) {
    throw new GrammarProblem('', 'must be a GBNF grammar: %llguidance is not supported');
  }
  if (source.includes('\0')) throw new GrammarProblem('', 'has a NUL character');
  const parser = new GbnfParser(source);
  const rules = parser.parse();
  if (!rules.has('root')) throw new GrammarProblem('', 'has no rule `root`');
  const elements = [...rules.values()].reduce((sum, node) => sum + countElements(node).total, 0);
  if (elements > grammarLimits.elements) {
    throw new GrammarProblem(
      '',
      `has more than ${grammarLimits.elements} elements once its repetitions are written out`,
    );
  }
  checkLeftRecursion(rules);
  checkAmbiguity(rules);
  return !parser.repeatsTooMuch;
}

/** `size`: elements that one repetition of the node copies. */
function countElements(node: GrammarNode): { readonly size: number; readonly total: number } {
  switch (node.type) {
    case 'set':
      return { size: node.ranges.length * 2, total: node.ranges.length * 2 };
    case 'rule':
      return { size: 1, total: 1 };
    case 'sequence':
    case 'choice': {
      const parts = node.items.map(countElements);
      const sum = parts.reduce((all, { total }) => all + total + 1, 0);
      return { size: parts.reduce((all, { size }) => all + size, 0), total: sum };
    }
    case 'repeat': {
      const { size, total } = countElements(node.item);
      const copies = Math.max(node.min, 1) + (Number.isFinite(node.max) ? node.max - node.min : 1);
      return { size: size * copies, total: total + size * copies };
    }
  }
}

/** The rules that can match an empty text. */
function emptyRules(rules: GrammarRules): ReadonlySet<string> {
  const empty = new Set<string>();
  let before = -1;
  while (empty.size > before) {
    before = empty.size;
    for (const [name, node] of rules) if (mayBeEmpty(node, empty)) empty.add(name);
  }
  return empty;
}

function mayBeEmpty(node: GrammarNode, empty: ReadonlySet<string>): boolean {
  switch (node.type) {
    case 'set':
      return false;
    case 'rule':
      return empty.has(node.name);
    case 'sequence':
      return node.items.every((item) => mayBeEmpty(item, empty));
    case 'choice':
      return node.items.some((item) => mayBeEmpty(item, empty));
    case 'repeat':
      return node.min === 0 || mayBeEmpty(node.item, empty);
  }
}

/** Refuses rules that begin with themselves. llama.cpp finds some of them, and loops forever on the others. */
function checkLeftRecursion(rules: GrammarRules): void {
  const empty = emptyRules(rules);
  const beginsWith = new Map([...rules].map(([name, node]) => [name, firstRules(node, empty)]));
  const finished = new Set<string>();
  for (const start of rules.keys()) {
    // Not recursive, because a chain of rules may be longer than the stack is deep.
    const path = new Set<string>();
    const open: (readonly [string, 'enter' | 'leave'])[] = [[start, 'enter']];
    for (let step = open.pop(); step !== undefined; step = open.pop()) {
      const [name, way] = step;
      if (way === 'leave') {
        path.delete(name);
        finished.add(name);
      } else if (path.has(name)) {
        throw new GrammarProblem('', `has a rule \`${name}\` that begins with itself`);
      } else if (!finished.has(name)) {
        path.add(name);
        open.push([name, 'leave']);
        for (const next of beginsWith.get(name) ?? []) open.push([next, 'enter']);
      }
    }
  }
}

/** The rules that a node can begin with. */
function firstRules(node: GrammarNode, empty: ReadonlySet<string>): readonly string[] {
  switch (node.type) {
    case 'set':
      return [];
    case 'rule':
      return [node.name];
    case 'choice':
      return node.items.flatMap((item) => firstRules(item, empty));
    case 'sequence': {
      const end = node.items.findIndex((item) => !mayBeEmpty(item, empty));
      const beginning = end < 0 ? node.items : node.items.slice(0, end + 1);
      return beginning.flatMap((item) => firstRules(item, empty));
    }
    case 'repeat':
      if (!Number.isFinite(node.max) && mayBeEmpty(node.item, empty)) {
        throw new GrammarProblem('', 'repeats without end what may be empty');
      }
      return firstRules(node.item, empty);
  }
}
