/**
 * Regular languages with intersection and complement, by derivatives: what remains of a language after a character.
 * They decide whether one pattern allows only strings that another allows, with lookaheads and lengths.
 */

import { countWork } from './analysis-work.ts';
import { Automaton } from './automaton.ts';
import { type GrammarNode, isInRanges, lastCodePoint, type Ranges } from './grammar-node.ts';
import type { PatternNode } from './pattern-parser.ts';

/** A language. Equal languages of one {@link Languages} are mostly, but not always, the same object. */
interface Language {
  readonly id: number;
  readonly kind: 'none' | 'empty' | 'set' | 'then' | 'or' | 'and' | 'not' | 'repeat';
  /** True if the empty string is in it. */
  readonly hasEmpty: boolean;
  readonly ranges: Ranges;
  readonly parts: readonly Language[];
  readonly min: number;
  readonly max: number;
}

/** Languages after one character, looked at in one comparison; beyond it two patterns count as not comparable. */
const maxStates = 3000;
const maxWork = 40_000;

/** The languages are too large to compare. */
class TooLarge extends Error {}

/**
 * True if every string of `inner`, which has no lookaheads, is one of `outer`. False also where they are too large to
 * compare.
 */
export function isWithin(inner: PatternNode, outer: PatternNode): boolean {
  const languages = new Languages();
  try {
    const excess = languages.and([
      languages.of(inner, languages.empty),
      languages.not(languages.of(outer, languages.empty)),
    ]);
    return languages.isNone(excess);
  } catch (error) {
    if (error instanceof TooLarge) return false;
    throw error;
  }
}

/** False if no string is of both patterns. True also where they are too large to compare. */
export function haveCommon(one: PatternNode, other: PatternNode): boolean {
  const languages = new Languages();
  try {
    const [first, second] = [one, other].map((each) => languages.of(each, languages.empty));
    return !languages.isNone(languages.and([first as Language, second as Language]));
  } catch (error) {
    if (error instanceof TooLarge) return true;
    throw error;
  }
}

/**
 * A pattern without lookaheads that has exactly the strings of `pattern`; undefined where it would be too large, or has
 * no string.
 */
export function withoutLookaheads(pattern: PatternNode): GrammarNode | undefined {
  const languages = new Languages();
  try {
    return patternOf(languages, languages.of(pattern, languages.empty));
  } catch (error) {
    if (error instanceof TooLarge) return undefined;
    throw error;
  }
}

/** True if `text` is a string of `pattern`. Unlike `RegExp` it never takes exponential time. */
export function matches(pattern: PatternNode, text: string): boolean {
  const languages = new Languages();
  try {
    let language = languages.of(pattern, languages.empty);
    for (const character of text) {
      language = languages.after(language, character.codePointAt(0) ?? 0);
    }
    return language.hasEmpty;
  } catch (error) {
    if (error instanceof TooLarge) return false;
    throw error;
  }
}

class Languages {
  readonly #known = new Map<string, Language>();
  readonly #after = new Map<string, Language>();
  #work = 0;
  readonly none = this.#make('none', false);
  readonly empty = this.#make('empty', true);
  readonly all = this.#make('not', true, { parts: [this.none] });

  #make(
    kind: Language['kind'],
    hasEmpty: boolean,
    more: Partial<Pick<Language, 'ranges' | 'parts' | 'min' | 'max'>> = {},
  ): Language {
    const { ranges = [], parts = [], min = 0, max = 0 } = more;
    const key = `${kind}|${parts.map(({ id }) => id).join(',')}|${ranges.join(';')}|${min}|${max}`;
    let language = this.#known.get(key);
    if (language === undefined) {
      this.#count(1);
      language = { id: this.#known.size, kind, hasEmpty, ranges, parts, min, max };
      this.#known.set(key, language);
    }
    return language;
  }

  #count(steps: number): void {
    this.#work += steps;
    countWork(steps);
    if (this.#work > maxWork) throw new TooLarge();
  }

  /** The strings of `node`, each followed by one of `rest`. */
  of(node: PatternNode, rest: Language): Language {
    switch (node.type) {
      case 'set':
        return this.#then(this.#set(node.ranges), rest);
      case 'sequence':
        return node.items.reduceRight((after, item) => this.of(item, after), rest);
      case 'choice':
        return this.#or(node.items.map((item) => this.of(item, rest)));
      case 'look': {
        const found = this.of(node.item, this.empty);
        return this.and([node.isNegated ? this.not(found) : found, rest]);
      }
      case 'repeat': {
        if (!hasLook(node.item)) {
          return this.#then(this.#repeat(this.of(node.item, this.empty), node.min, node.max), rest);
        }
        // A lookahead looks beyond its repetition, which is therefore written out.
        if (node.max > 8) throw new TooLarge();
        let language = rest;
        for (let count = node.max; count > 0; count--) {
          const again = this.of(node.item, language);
          language = count > node.min ? this.#or([again, rest]) : again;
        }
        return language;
      }
    }
  }

  #set(ranges: Ranges): Language {
    if (ranges.length === 0) return this.none;
    return this.#make('set', false, { ranges });
  }

  #then(first: Language, second: Language): Language {
    if (first === this.none || second === this.none) return this.none;
    if (first === this.empty) return second;
    if (second === this.empty) return first;
    if (first === this.all && second === this.all) return this.all;
    const [head, tail] = first.kind === 'then' ? first.parts : [];
    if (head !== undefined && tail !== undefined) {
      return this.#then(head, this.#then(tail, second));
    }
    return this.#make('then', first.hasEmpty && second.hasEmpty, { parts: [first, second] });
  }

  #repeat(item: Language, min: number, max: number): Language {
    if (max === 0 || item === this.empty) return this.empty;
    if (item === this.none) return min === 0 ? this.empty : this.none;
    if (min === 1 && max === 1) return item;
    const isAny = item.kind === 'set' && isAnything(item.ranges) && min === 0 && max === Infinity;
    if (isAny) return this.all;
    return this.#make('repeat', min === 0 || item.hasEmpty, { parts: [item], min, max });
  }

  #or(parts: readonly Language[]): Language {
    const all = this.#flat('or', parts).filter((part) => part !== this.none);
    if (all.includes(this.all)) return this.all;
    if (all.length < 2) return all[0] ?? this.none;
    return this.#make(
      'or',
      all.some(({ hasEmpty }) => hasEmpty),
      { parts: all },
    );
  }

  and(parts: readonly Language[]): Language {
    const all = this.#flat('and', parts).filter((part) => part !== this.all);
    if (all.includes(this.none)) return this.none;
    if (all.length < 2) return all[0] ?? this.all;
    return this.#make(
      'and',
      all.every(({ hasEmpty }) => hasEmpty),
      { parts: all },
    );
  }

  not(part: Language): Language {
    if (part.kind === 'not') return part.parts[0] as Language;
    return this.#make('not', !part.hasEmpty, { parts: [part] });
  }

  /** The parts of parts of the same kind, each once, in a fixed order. */
  #flat(kind: 'or' | 'and', parts: readonly Language[]): Language[] {
    const all = parts.flatMap((part) => (part.kind === kind ? part.parts : [part]));
    return [...new Set(all)].sort((one, other) => one.id - other.id);
  }

  /** What may follow `character` at the beginning of a string. */
  after(language: Language, character: number): Language {
    const key = `${language.id}/${character}`;
    const known = this.#after.get(key);
    if (known !== undefined) return known;
    this.#count(1);
    const next = this.#derive(language, character);
    this.#after.set(key, next);
    return next;
  }

  #derive({ kind, ranges, parts, min, max }: Language, character: number): Language {
    const [first = this.none, second = this.none] = parts;
    switch (kind) {
      case 'none':
      case 'empty':
        return this.none;
      case 'set':
        return isInRanges(ranges, character) ? this.empty : this.none;
      case 'then': {
        const next = this.#then(this.after(first, character), second);
        return first.hasEmpty ? this.#or([next, this.after(second, character)]) : next;
      }
      case 'or':
        return this.#or(parts.map((part) => this.after(part, character)));
      case 'and':
        return this.and(parts.map((part) => this.after(part, character)));
      case 'not':
        return this.not(this.after(first, character));
      case 'repeat':
        return this.#then(
          this.after(first, character),
          this.#repeat(first, Math.max(min - 1, 0), max - 1),
        );
    }
  }

  /** True if no string is in the language. */
  isNone(language: Language): boolean {
    const seen = new Set([language]);
    const open = [language];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (next.hasEmpty) return false;
      for (const character of this.firsts(next)) {
        const after = this.after(next, character);
        if (after === this.none || seen.has(after)) continue;
        seen.add(after);
        if (seen.size > maxStates) throw new TooLarge();
        open.push(after);
      }
    }
    return true;
  }

  /** One character of each kind that the beginning of a language distinguishes: the first of a range. */
  firsts(language: Language): readonly number[] {
    const bounds = new Set([0]);
    const collect = ({ kind, ranges, parts }: Language) => {
      if (kind === 'set') {
        for (const [low, high] of ranges) {
          bounds.add(low);
          if (high < lastCodePoint) bounds.add(high + 1);
        }
      } else if (kind === 'then') {
        const [first, second] = parts as [Language, Language];
        collect(first);
        if (first.hasEmpty) collect(second);
      } else parts.forEach(collect);
    };
    collect(language);
    this.#count(bounds.size);
    return [...bounds];
  }
}

function hasLook(node: PatternNode): boolean {
  switch (node.type) {
    case 'look':
      return true;
    case 'set':
      return false;
    case 'repeat':
      return hasLook(node.item);
    default:
      return node.items.some(hasLook);
  }
}

function isAnything(ranges: Ranges): boolean {
  const [first] = ranges;
  return ranges.length === 1 && first?.[0] === 0 && first[1] === lastCodePoint;
}

/** Languages that one pattern is written from, and nodes of that pattern. */
const maxWrittenStates = 250;

/** The automaton of a language, whose states are what remains of it, as a pattern. */
function patternOf(languages: Languages, start: Language): GrammarNode | undefined {
  const ids = new Map([[start, 0]]);
  const automaton = new Automaton();
  for (const [language, id] of ids) {
    if (language.hasEmpty) automaton.accept(id);
    const firsts = [...languages.firsts(language)].sort((one, other) => one - other);
    for (const [index, first] of firsts.entries()) {
      const next = languages.after(language, first);
      if (next === languages.none) continue;
      const target = ids.get(next) ?? ids.size;
      if (target >= maxWrittenStates) throw new TooLarge();
      // A map gives its new entries to the loop that runs over it.
      ids.set(next, target);
      automaton.connect(id, target, [first, (firsts[index + 1] ?? lastCodePoint + 1) - 1]);
    }
  }
  return automaton.toPattern();
}
