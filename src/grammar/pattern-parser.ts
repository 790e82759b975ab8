/** Parses regular expressions of JSON schemas. */
import { joinRanges, lastCodePoint, type Ranges, subtractRanges } from './grammar-node.ts';
import { scannedCharacters, unicodeClass } from './unicode-class.ts';

/** A part of a regular expression. */
export type PatternNode =
  | { readonly type: 'set'; readonly ranges: Ranges }
  | { readonly type: 'sequence'; readonly items: readonly PatternNode[] }
  | { readonly type: 'choice'; readonly items: readonly PatternNode[] }
  | {
      readonly type: 'repeat';
      readonly item: PatternNode;
      readonly min: number;
      /** Infinity without a bound. */
      readonly max: number;
    }
  /** A lookahead: what follows must begin with the item, or must not. */
  | { readonly type: 'look'; readonly item: PatternNode; readonly isNegated: boolean };

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

/** The end of the string: nothing follows. */
const end: PatternNode = {
  type: 'look',
  item: { type: 'repeat', item: { type: 'set', ranges: anything }, min: 1, max: Infinity },
  isNegated: true,
};

/** Any number of any characters. */
export const anyText: PatternNode = {
  type: 'repeat',
  item: { type: 'set', ranges: anything },
  min: 0,
  max: Number.POSITIVE_INFINITY,
};

/**
 * Strings that match `source` as JSON schema defines it: anywhere, unless the pattern is anchored. Anchors and named
 * groups of Python (`\A`, `\Z`, `(?P<name>`) are read as Python means them.
 * @throws {Error} for a pattern that no grammar can express; the message ends a sentence about it
 */
export function parsePattern(source: string): PatternNode {
  return new Parser(inOneForm(source)).parse();
}

/** The same for strings that match from their first character to their last, whether the pattern is anchored or not. */
export function parseWholePattern(source: string): PatternNode {
  return new Parser(inOneForm(source)).parse({ whole: true });
}

function inOneForm(source: string): string {
  const written = source
    .replaceAll('(?P<', '(?<')
    .replace(/^\\A/, '^')
    .replace(/(^|[^\\])\\[Zz]$/, '$1$$');
  checkSyntax(written);
  return written;
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

/** An alternative; `open` and `close`: not anchored at this end. */
interface Branch {
  readonly items: PatternNode[];
  readonly open: boolean;
  readonly close: boolean;
}

/** Parses a pattern that `RegExp` accepts; refuses what a grammar cannot express. */
class Parser {
  readonly #characters: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#characters = [...source];
  }

  parse({ whole = false } = {}): PatternNode {
    const branches = this.#branches(({ open, items, close }) => ({
      type: 'sequence',
      items: whole ? items : [...(open ? [anyText] : []), ...items, ...(close ? [anyText] : [])],
    }));
    if (this.#at < this.#characters.length) throw new Error('has an unbalanced parenthesis');
    return branches;
  }

  /** Alternatives up to the end or a closing parenthesis. */
  #branches(finish: (branch: Branch) => PatternNode, isNested = false): PatternNode {
    const choices: PatternNode[] = [];
    do {
      const items: PatternNode[] = [];
      const open = !this.#take('^');
      let close = true;
      while (this.#next !== undefined && this.#next !== '|' && this.#next !== ')') {
        if (this.#take('$')) {
          const after = this.#next;
          const isLast = after === undefined || after === '|' || after === ')';
          if (isLast && !isNested) close = false;
          else items.push(end);
        } else items.push(this.#term());
      }
      if (isNested && !open) throw new Error('has an anchor inside a group');
      choices.push(finish({ items, open, close }));
    } while (this.#take('|'));
    return choices.length === 1 ? (choices[0] as PatternNode) : { type: 'choice', items: choices };
  }

  get #next(): string | undefined {
    return this.#characters[this.#at];
  }

  #take(character: string): boolean {
    if (this.#next !== character) return false;
    this.#at += 1;
    return true;
  }

  #term(): PatternNode {
    let node = this.#atom();
    for (;;) {
      const bounds = this.#quantifier();
      if (bounds === undefined) return node;
      // A lazy quantifier matches the same strings.
      this.#take('?');
      node = { type: 'repeat', item: node, ...bounds };
    }
  }

  #atom(): PatternNode {
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

  #group(): PatternNode {
    const kind = this.#groupKind();
    this.#depth += 1;
    if (this.#depth > maxDepth) throw new Error(`has groups more than ${maxDepth} levels deep`);
    const isLook = kind !== 'plain';
    const isAtStart = /^\^?\(\?[=!]$/.test(this.#characters.slice(0, this.#at).join(''));
    if (isLook && this.#next === '^' && !isAtStart) throw new Error('has an anchor inside a group');
    // A lookahead is anchored where it stands; what it looks for may be anchored at the end.
    const node = this.#branches(
      ({ items, close }) => ({
        type: 'sequence',
        items: isLook && close ? [...items, anyText] : items,
      }),
      !isLook,
    );
    this.#depth -= 1;
    if (!this.#take(')')) throw new Error('has an unbalanced parenthesis');
    return isLook ? { type: 'look', item: node, isNegated: kind === '!' } : node;
  }

  #groupKind(): 'plain' | '=' | '!' {
    if (!this.#take('?')) return 'plain';
    if (this.#take(':')) return 'plain';
    if (this.#take('=')) return '=';
    if (this.#take('!')) return '!';
    if (this.#take('<') && this.#next !== '=' && this.#next !== '!') {
      this.#at = this.#characters.indexOf('>', this.#at) + 1;
      return 'plain';
    }
    throw new Error('has a group other than `(…)`, `(?:…)`, `(?<name>…)`, `(?=…)` and `(?!…)`');
  }

  #class(): PatternNode {
    const isNegated = this.#take('^');
    const first = this.#at;
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
    if (!isNegated) return { type: 'set', ranges: joinRanges(ranges) };
    const hasProperty = /\\p/i.test(this.#characters.slice(first, this.#at).join(''));
    return {
      type: 'set',
      ranges: subtractRanges(hasProperty ? scannedCharacters : anything, ranges),
    };
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
    if (character === 'p' || character === 'P') return this.#property(character);
    if (/^[0-9a-z]$/i.test(character)) {
      throw new Error(`has the escape \`\\${character}\`, which a grammar has no form for`);
    }
    const code = character.codePointAt(0) ?? 0;
    return [[code, code]];
  }

  /** A Unicode property, as in `\p{L}`. */
  #property(kind: string): Ranges {
    const end = this.#characters.indexOf('}', this.#at);
    const name = this.#characters.slice(this.#at + 1, end).join('');
    this.#at = end + 1;
    return unicodeClass(`\\${kind}{${name}}`);
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
