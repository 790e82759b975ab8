/**
 * The strings that `pattern`, `format` and lengths of a schema allow together, as one pattern. Where no grammar has
 * exactly these strings, a candidate that has some of them is taken if it can be proved to have no others.
 */
import { withWork } from './analysis-work.ts';
import type { GrammarNode, Ranges } from './grammar-node.ts';
import { isInRanges, subtractRanges } from './grammar-node.ts';
import { emitPattern, type JsonPattern, textOfLength } from './pattern.ts';
import { type Lengths, lengthsOf, withLength } from './pattern-length.ts';
import { anyText, anything, type PatternNode, parsePattern } from './pattern-parser.ts';
import { isWithin, withoutLookaheads } from './regular.ts';
import { formatPatterns } from './string-formats.ts';

/** What a schema says of a string. */
export interface StringLimits {
  readonly patterns: readonly string[];
  /** Known formats only. */
  readonly format?: string | undefined;
  readonly lengths: Lengths;
  /** Lookaheads may be left out. */
  readonly isLoose?: boolean;
}

export interface StringShape {
  readonly pattern: JsonPattern;
  /** False if strings that the schema allows are left out. */
  readonly exact: boolean;
}

/** A shape, or the reason why there is none, as the end of a sentence about the last pattern or length. */
export type StringShapeResult = StringShape | { readonly reason: string };

/** Shapes by their limits: requests of one client repeat their schemas. */
const cache = new Map<string, FoundShape>();
/** Characters of all patterns in the cache. */
const maxCacheSize = 4_194_304;
let cacheSize = 0;

/** Characters of one pattern as it is written for llama.cpp: a class of letters alone may take thousands. */
const maxSourceLength = 262_144;

/** What a search found, and the work that it took. */
interface FoundShape {
  readonly result: StringShapeResult;
  readonly work: number;
}

/** The work is that of the first search for the same limits. */
export function shapeOfString(limits: StringLimits): FoundShape {
  const { patterns, format, lengths, isLoose = false } = limits;
  const key = JSON.stringify([patterns, format, lengths.min, String(lengths.max), isLoose]);
  const known = cache.get(key);
  if (known !== undefined) return known;
  const shape = withWork(() => findShape(limits));
  const size = key.length + ('pattern' in shape.result ? shape.result.pattern.source.length : 0);
  if (cacheSize + size > maxCacheSize) {
    cache.clear();
    cacheSize = 0;
  }
  cache.set(key, shape);
  cacheSize += size;
  return shape;
}

function findShape({
  patterns,
  format,
  lengths: givenLengths,
  isLoose = false,
}: StringLimits): StringShapeResult {
  let exactOnes: PatternNode[];
  let limits: LengthLimits;
  try {
    limits = separateLengths(patterns.map(parsePattern), givenLengths);
    exactOnes = limits.patterns;
  } catch (error) {
    return { reason: messageOf(error) };
  }
  const { lengths, characters } = limits;
  const formatNode =
    format === undefined ? undefined : parsePattern(formatPatterns.get(format) ?? '');
  if (exactOnes.length === 0 && formatNode === undefined) {
    return emitted(textOfLength(lengths.min, lengths.max), true);
  }
  let reason = 'allows no string that can be proved to fit';
  for (const candidate of candidatesOf(exactOnes, formatNode)) {
    const fitted = withLength(candidate.node, lengths);
    if (fitted !== undefined && !hasOnly(fitted.node, characters)) continue;
    if (fitted === undefined) {
      reason = 'leaves no string of this length that can be found';
      continue;
    }
    const others =
      candidate.exactFor === 'all' ? [] : exactOnes.filter((each) => each !== candidate.exactFor);
    const isProved = isLoose || others.every((each) => isWithin(fitted.node as PatternNode, each));
    if (!isProved) continue;
    const isExact = candidate.exactFor !== undefined && others.length === 0 && fitted.exact;
    const shape = emitted(fitted.node, isExact || exactOnes.length === 0);
    if ('pattern' in shape) return shape;
    reason = shape.reason;
  }
  return { reason };
}

function emitted(node: GrammarNode, exact: boolean): StringShapeResult {
  try {
    const pattern = emitPattern(node);
    if (pattern.source.length > maxSourceLength) return { reason: 'comes to too large a grammar' };
    return { pattern, exact };
  } catch (error) {
    return { reason: messageOf(error) };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

interface Candidate {
  readonly node: GrammarNode;
  /** The pattern that has exactly these strings, or all patterns together. */
  readonly exactFor?: PatternNode | 'all';
}

/** Languages that may lie within all patterns, the likeliest first; the last one is made from all of them. */
function* candidatesOf(
  patterns: readonly PatternNode[],
  format: PatternNode | undefined,
): Generator<Candidate> {
  for (const pattern of patterns) {
    const plain = withoutLooks(pattern);
    const isPlain = plain === pattern;
    yield isPlain ? { node: plain as GrammarNode, exactFor: pattern } : { node: plain };
  }
  if (patterns.length > 0) yield* candidateOfAll(patterns);
  for (const pattern of patterns) yield* withLooksBefore(pattern);
  if (format !== undefined) yield { node: format as GrammarNode };
}

/** The strings of all patterns together, exactly. */
function* candidateOfAll(patterns: readonly PatternNode[]): Generator<Candidate> {
  // All patterns look at the same string.
  const looks = patterns.map((item) => ({ type: 'look', item, isNegated: false }) as const);
  const common = withoutLookaheads({ type: 'sequence', items: [...looks, anyText] });
  if (common !== undefined) yield { node: common, exactFor: 'all' };
}

/** The pattern as if each lookahead found what it looks for; itself if it has none. */
function withoutLooks(node: PatternNode): GrammarNode {
  switch (node.type) {
    case 'set':
      return node;
    case 'look':
      return { type: 'sequence', items: [] };
    case 'repeat': {
      const item = withoutLooks(node.item);
      return item === node.item ? (node as GrammarNode) : { ...node, item };
    }
    default: {
      const items = node.items.map(withoutLooks);
      const isSame = items.every((item, index) => item === node.items[index]);
      return isSame ? (node as GrammarNode) : { type: node.type, items };
    }
  }
}

/**
 * Patterns that begin with lookaheads, as rules for passwords do (`^(?=.*\d)(?=.*[a-z]).{8,}$`): what each looks for is
 * written first, in characters that the rest allows, one after the other.
 */
function withLooksBefore(pattern: PatternNode): Candidate[] {
  if (pattern.type !== 'sequence') return [];
  const looks = pattern.items.filter((item) => item.type === 'look');
  const [rest, ...others] = pattern.items.filter((item) => item.type !== 'look');
  if (looks.some(({ isNegated }) => isNegated) || others.length > 0) return [];
  if (rest?.type !== 'repeat' || rest.item.type !== 'set') return [];
  const allowed = rest.item.ranges;
  const found: GrammarNode[] = [];
  for (const { item } of looks) {
    const needed = neededOf(item, allowed);
    if (needed === undefined) return [];
    found.push(needed);
  }
  const length = found.reduce((sum, node) => sum + lengthsOf(node).min, 0);
  const min = Math.max(rest.min - length, 0);
  if (rest.max < length) return [];
  const tail: GrammarNode = {
    ...rest,
    item: { type: 'set', ranges: allowed },
    min,
    max: rest.max - length,
  };
  return [{ node: { type: 'sequence', items: [...found, tail] } }];
}

/** What a lookahead needs at least, in characters of `allowed`: repetitions that may be empty are left out. */
function neededOf(node: PatternNode, allowed: Ranges): GrammarNode | undefined {
  switch (node.type) {
    case 'set': {
      const ranges = intersection(node.ranges, allowed);
      return ranges.length === 0 ? undefined : { type: 'set', ranges };
    }
    case 'look':
      return undefined;
    case 'repeat': {
      if (node.min === 0) return { type: 'sequence', items: [] };
      const item = neededOf(node.item, allowed);
      return item && { type: 'repeat', item, min: node.min, max: node.min };
    }
    case 'choice': {
      const items = node.items
        .map((item) => neededOf(item, allowed))
        .filter((item) => item !== undefined);
      return items.length === 0 ? undefined : { type: 'choice', items };
    }
    case 'sequence': {
      const items = node.items.map((item) => neededOf(item, allowed));
      return items.every((item) => item !== undefined) ? { type: 'sequence', items } : undefined;
    }
  }
}

function intersection(one: Ranges, other: Ranges): Ranges {
  const outside = subtractRanges(anything, other);
  return subtractRanges(one, outside).filter(([low]) => isInRanges(one, low));
}

/** Repetitions behind lookaheads that are counted exactly. */
const maxExactCount = 4;

interface LengthLimits {
  readonly patterns: PatternNode[];
  readonly lengths: Lengths;
  /** What the lengths count; other characters are not allowed. */
  readonly characters: Ranges;
}

/** Takes lookaheads that only count characters, as in `^(?=.{1,253}$)`, out of patterns: lengths are cheaper. */
function separateLengths(patterns: readonly PatternNode[], given: Lengths): LengthLimits {
  let { min, max } = given;
  let characters = anything;
  const rest = patterns.map((pattern): PatternNode => {
    if (pattern.type !== 'sequence') return pattern;
    const looks = pattern.items.filter((item) => item.type === 'look');
    const [repeat, ...others] = pattern.items.filter((item) => item.type !== 'look');
    const items: PatternNode[] = [];
    for (const look of looks) {
      const count = look.isNegated ? undefined : countOf(look.item);
      if (count === undefined || pattern.items[0]?.type !== 'look') {
        items.push(look);
        continue;
      }
      min = Math.max(min, count.min);
      max = Math.min(max, count.max);
      characters = intersection(characters, count.ranges);
    }
    if (looks.length === 0 || pattern.items[0]?.type !== 'look') return pattern;
    const isRun =
      others.length === 0 &&
      repeat?.type === 'repeat' &&
      repeat.item.type === 'set' &&
      Math.max(repeat.min, Number.isFinite(repeat.max) ? repeat.max : 0) > maxExactCount;
    if (!isRun)
      return {
        type: 'sequence',
        items: pattern.items.filter((item) => item.type !== 'look' || items.includes(item)),
      };
    // `[a-z]{8,20}` behind lookaheads is a length as well.
    min = Math.max(min, repeat.min);
    max = Math.min(max, repeat.max);
    return {
      type: 'sequence',
      items: [...items, { ...repeat, min: 0, max: Number.POSITIVE_INFINITY }],
    };
  });
  return { patterns: rest, lengths: { min, max }, characters };
}

/** A number of characters of one class up to the end of the string, with at most optional parts behind them. */
function countOf(
  node: PatternNode,
): { readonly ranges: Ranges; readonly min: number; readonly max: number } | undefined {
  if (node.type !== 'sequence') return undefined;
  const [first, ...others] = node.items;
  const isOptional = (item: PatternNode) =>
    item.type === 'look' || (item.type === 'repeat' && item.min === 0);
  if (first?.type !== 'repeat' || first.item.type !== 'set' || !others.every(isOptional)) {
    return undefined;
  }
  return { ranges: first.item.ranges, min: first.min, max: first.max };
}

/** True if all characters of a pattern are in `ranges`. */
function hasOnly(node: GrammarNode, ranges: Ranges): boolean {
  switch (node.type) {
    case 'set':
      return subtractRanges(node.ranges, ranges).length === 0;
    case 'repeat':
      return hasOnly(node.item, ranges);
    case 'rule':
      return false;
    default:
      return node.items.every((item) => hasOnly(item, ranges));
  }
}
