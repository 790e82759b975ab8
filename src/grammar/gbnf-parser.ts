/** Parses GBNF grammars into nodes. */
import {
  type GrammarNode,
  type GrammarRules,
  joinRanges,
  lastCodePoint,
  maxRepetition,
  type Ranges,
  subtractRanges,
} from './grammar-node.ts';
import { GrammarProblem } from './problem.ts';

/** The maximum size of a grammar. */
export const grammarLimits = {
  /** Characters. */
  size: 65_536,
  /** Levels of nested groups. */
  depth: 32,
  rules: 1000,
  /** Characters, classes and references, repetitions written out. */
  elements: 50_000,
} as const;

/** Every character except NUL, which ends llama.cpp's texts. */
const anyCharacter: Ranges = [[1, lastCodePoint]];

/** Reads GBNF as llama.cpp's parser does, but refuses what no text can match. */
export class GbnfParser {
  readonly #source: string;
  readonly #rules = new Map<string, GrammarNode>();
  readonly #mentioned = new Set<string>();
  /** Rules in the order in which llama.cpp meets their names, and those that it makes of groups and repetitions. */
  readonly #met = new Set<string>();
  #madeCount = 0;
  #repeatsTooMuch = false;
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

  /** True if a group is repeated of which llama.cpp would make too many rules; a rule may be repeated in its place. */
  get repeatsTooMuch(): boolean {
    return this.#repeatsTooMuch;
  }

  get #ruleCount(): number {
    return this.#met.size + this.#madeCount;
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
    this.#met.add(name);
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
      const isGroup = this.#next === '(';
      const before = this.#ruleCount;
      const item = this.#item();
      if (item === undefined) break;
      this.#space(isNested);
      const ruleCount = isGroup ? this.#ruleCount - before : 1;
      items.push(this.#repeated(item, isNested, ruleCount));
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
    this.#met.add(name);
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
    const written: [number, number][] = [];
    while (!this.#take(']')) {
      const low = this.#character();
      let high = low;
      if (this.#next === '-' && this.#source[this.#at + 1] !== ']') {
        this.#at += 1;
        high = this.#character();
      }
      if (high < low) throw new GrammarProblem('', 'has a range that ends before it begins');
      written.push([low, high]);
    }
    const ranges = joinRanges(written);
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
    this.#madeCount += 1;
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

  /** @param itemRuleCount - the rules that llama.cpp makes of the item */
  #repeated(item: GrammarNode, isNested: boolean, itemRuleCount: number): GrammarNode {
    let node = item;
    let ruleCount = itemRuleCount;
    let repetitions = 0;
    for (;;) {
      const bounds = this.#quantifier(isNested);
      if (bounds === undefined) return node;
      repetitions += 1;
      if (repetitions > 4) throw new GrammarProblem('', 'repeats a repetition too often');
      this.#space(isNested);
      const isBounded = Number.isFinite(bounds.max);
      ruleCount *= Math.max(1, isBounded ? bounds.max : bounds.min);
      if (ruleCount > maxRepetition) this.#repeatsTooMuch = true;
      this.#madeCount += isBounded ? bounds.max - bounds.min : 1;
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
