/**
 * Checks GBNF grammars before llama.cpp reads them. It stops the process over some, builds others for
 * ever (`"a"{5,3}`), and takes a few for what they do not say (more than 2000 repetitions become endless).
 */
import { checkAmbiguity } from './ambiguity.ts';
import {
  type GrammarNode,
  type GrammarRules,
  lastCodePoint,
  maxRepetition,
  type Ranges,
  subtractRanges,
} from './grammar-node.ts';
import { GrammarProblem } from './problem.ts';

/** What a grammar may come to at most. */
export const grammarLimits = {
  /** Characters. */
  size: 65_536,
  /** Levels of groups in each other. */
  depth: 32,
  rules: 1000,
  /** Characters, classes and references, repetitions written out. */
  elements: 50_000,
} as const;

/** All but NUL, which ends llama.cpp's texts. */
const anyCharacter: Ranges = [[1, lastCodePoint]];

/** @throws {GrammarProblem} when llama.cpp cannot or should not be given the grammar */
export function checkGrammar(source: string): void {
  if (source.length > grammarLimits.size) {
    throw new GrammarProblem('', `has more than ${grammarLimits.size} characters`);
  }
  if (source.startsWith('%llguidance')) {
    throw new GrammarProblem('', 'must be a GBNF grammar: %llguidance is not supported');
  }
  if (source.includes('\0')) throw new GrammarProblem('', 'has a NUL character');
  const rules = new GbnfParser(source).parse();
  if (!rules.has('root')) throw new GrammarProblem('', 'has no rule `root`');
  const elements = [...rules.values()].reduce((sum, node) => sum + countElements(node).total, 0);
  if (elements > grammarLimits.elements) {
    throw new GrammarProblem(
      '',
      `comes to more than ${grammarLimits.elements} elements once its repetitions are written out`,
    );
  }
  checkLeftRecursion(rules);
  checkAmbiguity(rules);
}

/** `size`: what one repetition of the node copies. */
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

/** The rules that may come to nothing. */
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

/** A rule that begins with itself: llama.cpp finds some of them, and loops over the others. */
function checkLeftRecursion(rules: GrammarRules): void {
  const empty = emptyRules(rules);
  const beginsWith = new Map([...rules].map(([name, node]) => [name, firstRules(node, empty)]));
  const finished = new Set<string>();
  for (const start of rules.keys()) {
    // A walk of its own, because rules may follow each other for longer than the stack is deep.
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

/** The rules a node may begin with. */
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

/** Reads GBNF as llama.cpp's parser does, without what could not be matched. */
class GbnfParser {
  readonly #source: string;
  readonly #rules = new Map<string, GrammarNode>();
  readonly #mentioned = new Set<string>();
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
  }

  parse(): GrammarRules {
    this.#space(true);
    while (this.#at < this.#source.length) this.#rule();
    for (const name of this.#mentioned) {
      if (!this.#rules.has(name)) throw new GrammarProblem('', `has no rule \`${name}\``);
    }
    return this.#rules;
  }

  #fail(expected: string): never {
    const line = this.#source.slice(0, this.#at).split('\n').length;
    const rest = this.#source.slice(this.#at, this.#at + 20);
    const found = rest === '' ? 'its end' : JSON.stringify(rest);
    throw new GrammarProblem('', `must have ${expected} in line ${line}, where it has ${found}`);
  }

  get #next(): string {
    return this.#source[this.#at] ?? '';
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #take(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #space(acrossLines: boolean): void {
    this.#match(acrossLines ? /(?:[ \t\r\n]|#[^\r\n]*)*/y : /(?:[ \t]|#[^\r\n]*)*/y);
  }

  #name(): string | undefined {
    return this.#match(/[A-Za-z0-9-]+/y);
  }

  #rule(): void {
    const name = this.#name() ?? this.#fail('the name of a rule');
    if (name.length > 128) throw new GrammarProblem('', 'has a rule of more than 128 characters');
    if (this.#rules.size >= grammarLimits.rules) {
      throw new GrammarProblem('', `has more than ${grammarLimits.rules} rules`);
    }
    if (this.#rules.has(name)) throw new GrammarProblem('', `has two rules \`${name}\``);
    this.#space(false);
    if (!this.#take('::=')) this.#fail('`::=`');
    this.#space(true);
    this.#rules.set(name, this.#choice(false));
    if (this.#at < this.#source.length && this.#match(/\r\n|\r|\n/y) === undefined) {
      this.#fail('the end of the rule');
    }
    this.#space(true);
  }

  #choice(isNested: boolean): GrammarNode {
    const items = [this.#sequence(isNested)];
    while (this.#take('|')) {
      this.#space(true);
      items.push(this.#sequence(isNested));
    }
    return { type: 'choice', items };
  }

  #sequence(isNested: boolean): GrammarNode {
    const items: GrammarNode[] = [];
    for (;;) {
      const item = this.#item();
      if (item === undefined) break;
      this.#space(isNested);
      items.push(this.#repeated(item, isNested));
    }
    return { type: 'sequence', items };
  }

  #item(): GrammarNode | undefined {
    switch (this.#next) {
      case '"':
        return this.#literal();
      case '[':
        return this.#class();
      case '(':
        return this.#group();
      case '.':
        this.#at += 1;
        return { type: 'set', ranges: anyCharacter };
      case '<':
      case '!':
        throw new GrammarProblem('', 'names a token: only characters and rules are supported');
      case '*':
      case '+':
      case '?':
      case '{':
        return this.#fail('something to repeat');
    }
    const name = this.#name();
    if (name === undefined) return undefined;
    this.#mentioned.add(name);
    return { type: 'rule', name };
  }

  #literal(): GrammarNode {
    this.#at += 1;
    const items: GrammarNode[] = [];
    while (!this.#take('"')) {
      const code = this.#character();
      if (code === 0) throw new GrammarProblem('', 'has the character 0, which no token can have');
      items.push({ type: 'set', ranges: [[code, code]] });
    }
    return { type: 'sequence', items };
  }

  #class(): GrammarNode {
    this.#at += 1;
    const isNegated = this.#take('^');
    const ranges: [number, number][] = [];
    while (!this.#take(']')) {
      const low = this.#character();
      let high = low;
      if (this.#next === '-' && this.#source[this.#at + 1] !== ']') {
        this.#at += 1;
        high = this.#character();
      }
      if (high < low) throw new GrammarProblem('', 'has a range that ends before it begins');
      ranges.push([low, high]);
    }
    if (ranges.length === 0) this.#fail('something between brackets before this');
    // NUL may be named, as in `[^\x00-\x1F]`, and is never matched.
    const matched = isNegated
      ? subtractRanges(anyCharacter, ranges)
      : subtractRanges(ranges, [[0, 0]]);
    if (matched.length === 0) throw new GrammarProblem('', 'has a class that no character is in');
    return { type: 'set', ranges: matched };
  }

  #group(): GrammarNode {
    this.#depth += 1;
    if (this.#depth > grammarLimits.depth) {
      throw new GrammarProblem('', `has groups more than ${grammarLimits.depth} levels deep`);
    }
    this.#at += 1;
    this.#space(true);
    const choice = this.#choice(true);
    if (!this.#take(')')) this.#fail('`)`');
    this.#depth -= 1;
    return choice;
  }

  /** A code point of Unicode, half surrogate pairs left out: no token has them. */
  #character(): number {
    if (this.#at >= this.#source.length) this.#fail('a closing quote or bracket');
    const written = this.#match(
      /\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[trn\\"[\]-])/y,
    );
    if (written === undefined && this.#next === '\\') this.#fail('an escape that GBNF knows');
    const code = written === undefined ? this.#plainCharacter() : escapedCharacter(written);
    if (code > lastCodePoint || (code >= 0xd800 && code <= 0xdfff)) {
      throw new GrammarProblem('', `has the character ${code}, which no token can have`);
    }
    return code;
  }

  #plainCharacter(): number {
    const code = this.#source.codePointAt(this.#at) ?? 0;
    this.#at += code > 0xffff ? 2 : 1;
    return code;
  }

  #repeated(item: GrammarNode, isNested: boolean): GrammarNode {
    let node = item;
    let repetitions = 0;
    for (;;) {
      const bounds = this.#quantifier(isNested);
      if (bounds === undefined) return node;
      repetitions += 1;
      if (repetitions > 4) throw new GrammarProblem('', 'repeats a repetition too often');
      this.#space(isNested);
      node = { type: 'repeat', item: node, ...bounds };
    }
  }

  #quantifier(isNested: boolean): { readonly min: number; readonly max: number } | undefined {
    if (this.#take('*')) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#take('+')) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.#take('?')) return { min: 0, max: 1 };
    if (!this.#take('{')) return undefined;
    this.#space(isNested);
    const min = Number(this.#match(/\d+/y) ?? this.#fail('a number'));
    let max = min;
    this.#space(isNested);
    if (this.#take(',')) {
      this.#space(isNested);
      max = Number(this.#match(/\d+/y) ?? Number.POSITIVE_INFINITY);
      this.#space(isNested);
    }
    if (!this.#take('}')) this.#fail('`}`');
    if (max < min) throw new GrammarProblem('', `repeats at least ${min} and at most ${max} times`);
    if (min > maxRepetition || (Number.isFinite(max) && max > maxRepetition)) {
      throw new GrammarProblem('', `repeats more than ${maxRepetition} times`);
    }
    return { min, max };
  }
}

function escapedCharacter(written: string): number {
  const [, kind = '', hex = ''] = /^\\(.)(.*)$/s.exec(written) ?? [];
  if (hex !== '') return Number.parseInt(hex, 16);
  const controls: Readonly<Record<string, number>> = { t: 0x09, r: 0x0d, n: 0x0a };
  return controls[kind] ?? kind.charCodeAt(0);
}
