/** Parses regular expressions of JSON schemas into grammar nodes. */
import { type GrammarNode, lastCodePoint, type Ranges, subtractRanges } from './grammar-node.ts';

/** Levels of groups. */
const maxDepth = 20;

/** Every character. */
export const anything: Ranges = [[0, lastCodePoint]];
const lineEnds: Ranges = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const digits: Ranges = [[0x30, 0x39]];
const wordCharacters: Ranges = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
const spaces: Ranges = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const classes: Readonly<Record<string, Ranges>> = {
  d: digits,
  D: complement(digits),
  w: wordCharacters,
  W: complement(wordCharacters),
  s: spaces,
  S: complement(spaces),
};
const controlEscapes: Readonly<Record<string, number>> = {
  t: 0x09,
  n: 0x0a,
  v: 0x0b,
  f: 0x0c,
  r: 0x0d,
};

/**
 * Strings that match `source` as JSON schema defines it: anywhere, unless the pattern is anchored.
 * @throws {Error} for a pattern that no grammar can express; the message ends a sentence about it
 */
export function parsePattern(source: string): GrammarNode {
  checkSyntax(source);
  return new Parser(source).parse();
}

function checkSyntax(source: string): void {
  for (const flags of ['u', '']) {
    try {
      new RegExp(source, flags);
      return;
    } catch {
      // The other flags may read it.
    }
  }
  throw new Error('is not a regular expression');
}

function complement(ranges: Ranges): Ranges {
  return subtractRanges(anything, ranges);
}

/** Parses a pattern that `RegExp` accepts; refuses what a grammar cannot express. */
class Parser {
  readonly #characters: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#characters = [...source];
  }

  parse(): GrammarNode {
    const branches = this.#branches((branch) => {
      const { open, items, close } = branch;
      const any: GrammarNode = {
        type: 'repeat',
        item: { type: 'set', ranges: anything },
        min: 0,
        max: Number.POSITIVE_INFINITY,
      };
      return {
        type: 'sequence',
        items: [...(open ? [any] : []), ...items, ...(close ? [any] : [])],
      };
    });
    if (this.#at < this.#characters.length) throw new Error('has an unbalanced parenthesis');
    return branches;
  }

  /** Alternatives up to the end or a closing parenthesis; `open` and `close`: not anchored there. */
  #branches(
    finish: (branch: { items: GrammarNode[]; open: boolean; close: boolean }) => GrammarNode,
    isNested = false,
  ): GrammarNode {
    const choices: GrammarNode[] = [];
    do {
      const items: GrammarNode[] = [];
      const open = !this.#take('^');
      let close = true;
      while (this.#next !== undefined && this.#next !== '|' && this.#next !== ')') {
        if (this.#take('$')) {
          close = false;
          const after = this.#next;
          if (after !== undefined && after !== '|' && after !== ')') {
            throw new Error('has an anchor in its middle');
          }
        } else items.push(this.#term());
      }
      if (isNested && !(open && close)) throw new Error('has an anchor inside a group');
      choices.push(finish({ items, open, close }));
    } while (this.#take('|'));
    return choices.length === 1 ? (choices[0] as GrammarNode) : { type: 'choice', items: choices };
  }

  get #next(): string | undefined {
    return this.#characters[this.#at];
  }

  #take(character: string): boolean {
    if (this.#next !== character) return false;
    this.#at += 1;
    return true;
  }

  #term(): GrammarNode {
    let node = this.#atom();
    for (;;) {
      const bounds = this.#quantifier();
      if (bounds === undefined) return node;
      // A lazy quantifier matches the same strings.
      this.#take('?');
      node = { type: 'repeat', item: node, ...bounds };
    }
  }

  #atom(): GrammarNode {
    const character = this.#characters[this.#at++];
    switch (character) {
      case '.':
        return { type: 'set', ranges: complement(lineEnds) };
      case '(':
        return this.#group();
      case '[':
        return this.#class();
      case '\\':
        return { type: 'set', ranges: this.#escape() };
      case '^':
        throw new Error('has an anchor in its middle');
      default: {
        const code = character?.codePointAt(0) ?? 0;
        return { type: 'set', ranges: [[code, code]] };
      }
    }
  }

  #group(): GrammarNode {
    if (this.#take('?') && !this.#take(':')) {
      throw new Error('has a group other than `(…)` and `(?:…)`');
    }
    this.#depth += 1;
    if (this.#depth > maxDepth) throw new Error(`has groups more than ${maxDepth} levels deep`);
    const node = this.#branches(({ items }) => ({ type: 'sequence', items }), true);
    this.#depth -= 1;
    if (!this.#take(')')) throw new Error('has an unbalanced parenthesis');
    return node;
  }

  #class(): GrammarNode {
    const isNegated = this.#take('^');
    const ranges: (readonly [number, number])[] = [];
    while (!this.#take(']')) {
      const low = this.#classMember();
      const isRange = this.#next === '-' && this.#characters[this.#at + 1] !== ']';
      if (!isRange) ranges.push(...low);
      else {
        this.#at += 1;
        const high = this.#classMember();
        const [[from, same], [to, last]] = [low[0] ?? [0, 1], high[0] ?? [0, 1]];
        if (from !== same || to !== last || low.length + high.length !== 2) {
          throw new Error('has a range between character classes');
        }
        ranges.push([from, to]);
      }
    }
    return { type: 'set', ranges: isNegated ? complement(ranges) : ranges };
  }

  #classMember(): Ranges {
    const character = this.#characters[this.#at++];
    if (character === undefined) throw new Error('has an unfinished character class');
    if (character === '\\') return this.#escape(true);
    const code = character.codePointAt(0) ?? 0;
    return [[code, code]];
  }

  #escape(inClass = false): Ranges {
    const character = this.#characters[this.#at++] ?? '';
    const known = classes[character];
    if (known !== undefined) return known;
    const control = controlEscapes[character];
    if (control !== undefined) return [[control, control]];
    if (character === 'b' && inClass) return [[0x08, 0x08]];
    if (character === 'x') return this.#hex(2);
    if (character === 'u') return this.#hex(4);
    if (/^[0-9a-z]$/i.test(character)) {
      throw new Error(`has the escape \`\\${character}\`, which a grammar has no form for`);
    }
    const code = character.codePointAt(0) ?? 0;
    return [[code, code]];
  }

  #hex(length: number): Ranges {
    let text = this.#characters.slice(this.#at, this.#at + length).join('');
    this.#at += length;
    if (text.startsWith('{')) {
      this.#at -= length;
      const end = this.#characters.indexOf('}', this.#at);
      text = this.#characters.slice(this.#at + 1, end).join('');
      this.#at = end + 1;
    }
    if (!/^[0-9a-f]+$/i.test(text)) throw new Error('has an escape that is not hexadecimal');
    const code = Number.parseInt(text, 16);
    if (code >= 0xd800 && code <= 0xdfff) throw new Error('has half of a surrogate pair');
    return [[code, code]];
  }

  #quantifier(): { min: number; max: number } | undefined {
    if (this.#take('*')) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#take('+')) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.#take('?')) return { min: 0, max: 1 };
    if (this.#next !== '{') return undefined;
    const end = this.#characters.indexOf('}', this.#at);
    const text = this.#characters.slice(this.#at + 1, end).join('');
    const [, min, comma, max] = /^(\d+)(,?)(\d*)$/.exec(text) ?? [];
    if (end < 0 || min === undefined) throw new Error('has a brace that counts nothing');
    this.#at = end + 1;
    if (comma === '') return { min: Number(min), max: Number(min) };
    return { min: Number(min), max: max === '' ? Number.POSITIVE_INFINITY : Number(max) };
  }
}
