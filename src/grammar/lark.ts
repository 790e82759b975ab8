/**
 * Grammars in Lark's form as regular expressions. A grammar whose rules do not contain themselves is regular, and as a
 * pattern it can stand within a JSON string, which is where the input of a custom tool is.
 * @see https://lark-parser.readthedocs.io/en/stable/grammar.html
 */
import { GrammarProblem } from './problem.ts';

type LarkNode =
  | { readonly type: 'text'; readonly text: string; readonly ignoresCase: boolean }
  | { readonly type: 'pattern'; readonly source: string; readonly flags: string }
  | { readonly type: 'range'; readonly from: string; readonly to: string }
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'sequence' | 'choice'; readonly items: readonly LarkNode[] }
  | {
      readonly type: 'repeat';
      readonly item: LarkNode;
      readonly min: number;
      readonly max: number;
    };

/** Characters of a grammar, and of the pattern that it becomes. */
const maxLength = 65_536;

/** Brackets within brackets, and rules within rules. */
const maxDepth = 200;

/** The terminals of Lark's library that grammars import, as patterns. */
const commonTerminals: Readonly<Record<string, string>> = {
  LF: '\\n',
  CR: '\\r',
  NEWLINE: '(?:\\r?\\n)+',
  WS: '[ \\t\\f\\r\\n]+',
  WS_INLINE: '[ \\t]+',
  DIGIT: '[0-9]',
  HEXDIGIT: '[0-9a-fA-F]',
  INT: '[0-9]+',
  SIGNED_INT: '[+-]?[0-9]+',
  DECIMAL: '(?:[0-9]+\\.[0-9]*|\\.[0-9]+)',
  FLOAT: '(?:[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\\.[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)',
  NUMBER: '(?:[0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?',
  SIGNED_NUMBER: '[+-]?(?:[0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?',
  LCASE_LETTER: '[a-z]',
  UCASE_LETTER: '[A-Z]',
  LETTER: '[a-zA-Z]',
  WORD: '[a-zA-Z]+',
  CNAME: '[_a-zA-Z][_a-zA-Z0-9]*',
  ESCAPED_STRING: '"(?:[^"\\\\\\n]|\\\\.)*"',
};

/**
 * The pattern of all texts that the rule `start` of a grammar allows. What a grammar ignores between its terminals is
 * left out: texts without it are allowed as well.
 * @throws {GrammarProblem} for a grammar that cannot be read, and for one whose rules contain themselves
 */
export function patternOfLark(source: string): string {
  if (source.length > maxLength) {
    throw new GrammarProblem('', `has more than ${maxLength} characters`);
  }
  const rules = new LarkParser(source).parse();
  const pattern = new PatternWriter(rules).write({ type: 'name', name: 'start' });
  if (pattern.length > maxLength) {
    throw new GrammarProblem('', `needs a pattern of more than ${maxLength} characters`);
  }
  return pattern;
}

interface Token {
  readonly kind: 'text' | 'pattern' | 'name' | 'number' | 'directive' | 'mark';
  readonly text: string;
  readonly line: number;
}

const tokenForms: readonly (readonly [Token['kind'] | 'blank', RegExp])[] = [
  ['blank', /(?:\s|\/\/[^\n]*|#[^\n]*)+/y],
  ['text', /"(?:\\.|[^"\\\n])*"i?/y],
  ['pattern', /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/y],
  ['directive', /%[a-z]+/y],
  ['name', /[?!]*_?[A-Za-z]\w*/y],
  ['number', /-?\d+/y],
  ['mark', /->|\.\.|[:|()[\]?*+~.,{}]/y],
];

function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  while (at < source.length) {
    let found = false;
    for (const [kind, form] of tokenForms) {
      form.lastIndex = at;
      const [text] = form.exec(source) ?? [];
      if (text === undefined) continue;
      if (kind !== 'blank') tokens.push({ kind, text, line });
      line += text.split('\n').length - 1;
      at += text.length;
      found = true;
      break;
    }
    if (!found) throw new GrammarProblem('', `cannot be read at line ${line}`);
  }
  return tokens;
}

/** A parser by recursive descent. */
class LarkParser {
  readonly #tokens: readonly Token[];
  readonly #rules = new Map<string, LarkNode>();
  #at = 0;
  /** Open brackets. */
  #depth = 0;

  constructor(source: string) {
    this.#tokens = tokensOf(source);
  }

  parse(): ReadonlyMap<string, LarkNode> {
    while (this.#at < this.#tokens.length) {
      const token = this.#take();
      if (token.kind === 'directive') this.#readDirective(token);
      else if (token.kind === 'name') this.#readRule(token);
      else throw this.#unexpected(token);
    }
    return this.#rules;
  }

  #readRule(name: Token): void {
    if (this.#is('.')) {
      this.#take();
      this.#take();
    }
    this.#expect(':');
    this.#rules.set(nameOf(name), this.#choice());
  }

  /** `%import common.LF`, `%import common (A, B)`, `%import common.A -> B`; `%ignore` and others end with their line. */
  #readDirective({ text, line }: Token): void {
    const rest: Token[] = [];
    while (this.#next()?.line === line) rest.push(this.#take());
    if (text === '%ignore' || text === '%declare') return;
    if (text !== '%import') throw new GrammarProblem('', `has \`${text}\` at line ${line}`);
    const names = rest.filter(({ kind }) => kind === 'name').map((token) => token.text);
    const [module, ...imported] = names;
    if (module !== 'common') {
      throw new GrammarProblem('', `imports \`${module ?? ''}\` at line ${line}`);
    }
    const isRenamed = rest.some((token) => token.text === '->');
    const [first, second] = imported;
    if (isRenamed && first !== undefined && second !== undefined) this.#import(second, first);
    else for (const name of imported) this.#import(name, name);
  }

  #import(name: string, terminal: string): void {
    const source = Object.hasOwn(commonTerminals, terminal) ? commonTerminals[terminal] : undefined;
    if (source === undefined) throw new GrammarProblem('', `imports \`common.${terminal}\``);
    this.#rules.set(name, { type: 'pattern', source, flags: '' });
  }

  #choice(): LarkNode {
    const items: LarkNode[] = [];
    // Alternatives may begin with a bar, each on a line of its own.
    if (this.#is('|')) this.#take();
    do items.push(this.#sequence());
    while (this.#accept('|'));
    return { type: 'choice', items };
  }

  #sequence(): LarkNode {
    const items: LarkNode[] = [];
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      if (['|', ')', ']'].includes(next.text) && next.kind === 'mark') break;
      if (next.kind === 'directive' || this.#beginsRule()) break;
      if (this.#accept('->')) {
        // The name of an alternative is for whoever reads the tree.
        this.#take();
        continue;
      }
      items.push(this.#repeated(this.#item()));
    }
    return { type: 'sequence', items };
  }

  #beginsRule(): boolean {
    if (this.#next()?.kind !== 'name') return false;
    const [second, , fourth] = [1, 2, 3].map((offset) => this.#tokens[this.#at + offset]?.text);
    return second === ':' || (second === '.' && fourth === ':');
  }

  #item(): LarkNode {
    const token = this.#take();
    switch (token.kind) {
      case 'text':
        return this.#textOrRange(token);
      case 'pattern': {
        const end = token.text.lastIndexOf('/');
        return {
          type: 'pattern',
          source: token.text.slice(1, end),
          flags: token.text.slice(end + 1),
        };
      }
      case 'name':
        return { type: 'name', name: nameOf(token) };
      default:
        break;
    }
    if (token.text === '(') return this.#within(')');
    if (token.text === '[') return { type: 'repeat', item: this.#within(']'), min: 0, max: 1 };
    throw this.#unexpected(token);
  }

  #within(end: string): LarkNode {
    this.#depth += 1;
    if (this.#depth > maxDepth) throw tooDeep();
    const node = this.#choice();
    this.#expect(end);
    this.#depth -= 1;
    return node;
  }

  #textOrRange(token: Token): LarkNode {
    const text = textOf(token);
    if (!this.#accept('..')) return { type: 'text', text, ignoresCase: token.text.endsWith('i') };
    const to = textOf(this.#take());
    if ([...text].length === 1 && [...to].length === 1 && text <= to) {
      return { type: 'range', from: text, to };
    }
    throw new GrammarProblem(
      '',
      `has a range at line ${token.line} that is not of two characters in order`,
    );
  }

  #repeated(item: LarkNode): LarkNode {
    if (this.#accept('?')) return { type: 'repeat', item, min: 0, max: 1 };
    if (this.#accept('*')) return { type: 'repeat', item, min: 0, max: Infinity };
    if (this.#accept('+')) return { type: 'repeat', item, min: 1, max: Infinity };
    if (!this.#accept('~')) return item;
    const min = Number(this.#take().text);
    const max = this.#accept('..') ? Number(this.#take().text) : min;
    if (!(Number.isInteger(min) && Number.isInteger(max) && min >= 0 && min <= max)) {
      throw new GrammarProblem(
        '',
        'has a repetition without a number, or with numbers out of order',
      );
    }
    return { type: 'repeat', item, min, max };
  }

  #next(): Token | undefined {
    return this.#tokens[this.#at];
  }

  #take(): Token {
    const token = this.#next();
    if (token === undefined) throw new GrammarProblem('', 'ends within a rule');
    this.#at += 1;
    return token;
  }

  #is(mark: string): boolean {
    const next = this.#next();
    return next?.kind === 'mark' && next.text === mark;
  }

  #accept(mark: string): boolean {
    if (!this.#is(mark)) return false;
    this.#at += 1;
    return true;
  }

  #expect(mark: string): void {
    const token = this.#take();
    if (token.text !== mark) throw this.#unexpected(token);
  }

  #unexpected({ text, line }: Token): GrammarProblem {
    return new GrammarProblem('', `cannot be read at line ${line}, at \`${text.slice(0, 40)}\``);
  }
}

/** Without the marks that shape a tree. */
function nameOf({ text }: Token): string {
  return text.replace(/^[?!]+/, '');
}

function textOf({ text, line }: Token): string {
  const quoted = text
    .replace(/i$/, '')
    .replace(/\\x([0-9a-fA-F]{2})/g, '\\u00$1')
    .replace(/\\(?!["\\/bfnrtu])/g, '\\\\');
  try {
    return String(JSON.parse(quoted));
  } catch {
    throw new GrammarProblem('', `has an invalid text at line ${line}`);
  }
}

class PatternWriter {
  readonly #rules: ReadonlyMap<string, LarkNode>;
  /** Rules that are written at the moment, from the outside in. */
  readonly #open: string[] = [];
  readonly #written = new Map<string, string>();

  constructor(rules: ReadonlyMap<string, LarkNode>) {
    this.#rules = rules;
  }

  write(node: LarkNode): string {
    switch (node.type) {
      case 'text':
        return literal(node.text, node.ignoresCase);
      case 'pattern':
        return withFlags(node.source, node.flags);
      case 'range':
        return `[${escapeInSet(node.from)}-${escapeInSet(node.to)}]`;
      case 'name':
        return this.#rule(node.name);
      case 'sequence':
        return limited(node.items.map((item) => this.write(item)).join(''));
      case 'choice': {
        const [only, second] = node.items;
        if (only !== undefined && second === undefined) return this.write(only);
        return limited(`(?:${node.items.map((item) => this.write(item)).join('|')})`);
      }
      case 'repeat': {
        const { min, max } = node;
        const bounds =
          max === 1 && min === 0
            ? '?'
            : max !== Infinity
              ? `{${min},${max}}`
              : min === 0
                ? '*'
                : '+';
        return limited(`(?:${this.write(node.item)})${bounds}`);
      }
    }
  }

  #rule(name: string): string {
    const known = this.#written.get(name);
    if (known !== undefined) return known;
    const node = this.#rules.get(name);
    if (node === undefined) throw new GrammarProblem('', `has no rule \`${name.slice(0, 60)}\``);
    if (this.#open.includes(name)) {
      throw new GrammarProblem(
        '',
        `has the rule \`${name.slice(0, 60)}\`, which contains itself: only grammars without recursion can be enforced`,
      );
    }
    if (this.#open.length === maxDepth) throw tooDeep();
    this.#open.push(name);
    const text = this.write(node);
    this.#open.pop();
    this.#written.set(name, text);
    return text;
  }
}

function tooDeep(): GrammarProblem {
  return new GrammarProblem('', `is nested more than ${maxDepth} levels deep`);
}

/** Rules that use others twice each would double with every rule. */
function limited(pattern: string): string {
  if (pattern.length <= maxLength) return pattern;
  throw new GrammarProblem('', `needs a pattern of more than ${maxLength} characters`);
}

function literal(text: string, ignoresCase: boolean): string {
  return [...text]
    .map((character) => {
      const [lower, upper] = [character.toLowerCase(), character.toUpperCase()];
      if (ignoresCase && lower !== upper && lower.length === 1 && upper.length === 1) {
        return `[${lower}${upper}]`;
      }
      if (character === '\n') return '\\n';
      return character.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&');
    })
    .join('');
}

function escapeInSet(character: string): string {
  return character.replace(/[\\\]^-]/, '\\$&');
}

/** @throws {GrammarProblem} for flags that change what letters mean */
function withFlags(source: string, flags: string): string {
  const unknown = flags.replace(/[su]/g, '');
  if (unknown !== '') throw new GrammarProblem('', `has a pattern with the flag \`${unknown}\``);
  const text = flags.includes('s') ? withAnyDot(source) : source;
  return `(?:${text})`;
}

/** A dot outside a set is any character, line breaks included. */
function withAnyDot(source: string): string {
  return source.replace(/\\.|\[(?:\\.|[^\]\\])*\]|\./gs, (part) =>
    part === '.' ? '[\\s\\S]' : part,
  );
}
