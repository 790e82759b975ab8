/**
 * Patterns with a minimum and a maximum length. A grammar cannot count characters across the parts of a pattern, so
 * each part gets bounds of its own: the result allows only strings of the pattern that have such a length, and not
 * always all of them.
 */
import type { GrammarNode } from './grammar-node.ts';

/** In characters. */
export interface Lengths {
  readonly min: number;
  /** Infinity without a bound. */
  readonly max: number;
}

export function lengthsOf(node: GrammarNode): Lengths {
  switch (node.type) {
    case 'set':
      return { min: 1, max: 1 };
    case 'rule':
      return { min: 0, max: Number.POSITIVE_INFINITY };
    case 'sequence': {
      const parts = node.items.map(lengthsOf);
      return {
        min: parts.reduce((sum, { min }) => sum + min, 0),
        max: parts.reduce((sum, { max }) => sum + max, 0),
      };
    }
    case 'choice': {
      const parts = node.items.map(lengthsOf);
      return {
        min: Math.min(...parts.map(({ min }) => min)),
        max: Math.max(...parts.map(({ max }) => max)),
      };
    }
    case 'repeat': {
      const { min, max } = lengthsOf(node.item);
      return { min: min * node.min, max: node.max === 0 || max === 0 ? 0 : max * node.max };
    }
  }
}

/** `exact` if all strings of the pattern that have the length are allowed. */
export interface Fitted {
  readonly node: GrammarNode;
  readonly exact: boolean;
}

/** `node` with strings of `min` to `max` characters only; undefined if there is none, or none that can be found. */
export function withLength(node: GrammarNode, { min, max }: Lengths): Fitted | undefined {
  const longer = atLeast(node, min);
  const fitted = longer && atMost(longer, max);
  if (fitted === undefined) return undefined;
  const lengths = lengthsOf(fitted);
  if (lengths.min < min || lengths.max > max) return undefined;
  return { node: fitted, exact: fitted === node || isRun(node) };
}

/** A repetition of parts of one length, with other parts of fixed lengths around it: its bounds follow exactly. */
function isRun(node: GrammarNode): boolean {
  const isFixed = (part: GrammarNode) => lengthsOf(part).min === lengthsOf(part).max;
  if (isFixed(node)) return true;
  if (node.type === 'repeat') {
    return isFixed(node.item) && lengthsOf(node.item).min === 1;
  }
  if (node.type === 'choice') return node.items.every(isRun);
  if (node.type !== 'sequence') return false;
  const variable = node.items.filter((item) => !isFixed(item));
  return variable.length === 1 && variable.every(isRun);
}

function atLeast(node: GrammarNode, min: number): GrammarNode | undefined {
  const lengths = lengthsOf(node);
  if (lengths.min >= min) return node;
  if (lengths.max < min) return undefined;
  switch (node.type) {
    case 'set':
    case 'rule':
      return undefined;
    case 'choice':
      return choiceOf(node.items.map((item) => atLeast(item, min)));
    case 'repeat': {
      const item = lengthsOf(node.item);
      const count = item.min === 0 ? Number.POSITIVE_INFINITY : Math.ceil(min / item.min);
      if (count <= node.max) return { ...node, min: count };
      // Few repetitions, each long enough.
      const times = Math.max(node.min, 1);
      const longer = atLeast(node.item, Math.ceil(min / times));
      return longer && { ...node, item: longer, min: times };
    }
    case 'sequence': {
      const items = [...node.items];
      let missing = min - lengths.min;
      // The parts that can be longest first, of them those with the most characters.
      const order = items
        .map((item, index) => ({ index, breadth: breadthOf(item), ...lengthsOf(item) }))
        .sort((one, other) =>
          other.max === one.max ? other.breadth - one.breadth : other.max - one.max,
        );
      for (const { index, min: own, max } of order) {
        if (missing <= 0) break;
        const more = Math.min(missing, max - own);
        const longer = atLeast(items[index] as GrammarNode, own + more);
        if (longer === undefined) continue;
        items[index] = longer;
        missing -= lengthsOf(longer).min - own;
      }
      return missing > 0 ? undefined : { type: 'sequence', items };
    }
  }
}

function atMost(node: GrammarNode, max: number): GrammarNode | undefined {
  const lengths = lengthsOf(node);
  if (lengths.max <= max) return node;
  if (lengths.min > max) return undefined;
  switch (node.type) {
    case 'set':
    case 'rule':
      return undefined;
    case 'choice':
      return choiceOf(node.items.map((item) => atMost(item, max)));
    case 'repeat': {
      const item = lengthsOf(node.item);
      // As many repetitions as can have their full length, or a few shorter ones.
      const full = Math.floor(max / item.max);
      const times = Math.max(
        node.min,
        Number.isFinite(item.max) ? full : Math.min(3, Math.floor(max / Math.max(item.min, 1))),
        1,
      );
      const shorter = atMost(node.item, Math.floor(max / times));
      if (shorter === undefined)
        return node.min === 0 ? { type: 'sequence', items: [] } : undefined;
      return { ...node, item: shorter, max: Math.min(node.max, times) };
    }
    case 'sequence': {
      const parts = node.items.map((item) => ({ item, ...lengthsOf(item) }));
      const shares = sharesOf(parts, max);
      const items = parts.map(({ item }, index) => atMost(item, shares[index] as number));
      return items.every((item) => item !== undefined) ? { type: 'sequence', items } : undefined;
    }
  }
}

/** The maximum length of each part, so that the whole is at most `max`: equal shares, and what others leave. */
function sharesOf(parts: readonly Lengths[], max: number): number[] {
  const shares = parts.map((part) => part.min);
  let rest = max - shares.reduce((sum, share) => sum + share, 0);
  let open = parts.map((_, index) => index).filter((index) => isOpen(parts, shares, index));
  while (rest > 0 && open.length > 0) {
    const each = Math.max(1, Math.floor(rest / open.length));
    for (const index of open) {
      const more = Math.min(each, rest, (parts[index] as Lengths).max - (shares[index] as number));
      shares[index] = (shares[index] as number) + more;
      rest -= more;
    }
    open = open.filter((index) => isOpen(parts, shares, index));
  }
  return shares;
}

function isOpen(parts: readonly Lengths[], shares: readonly number[], index: number): boolean {
  return (shares[index] as number) < (parts[index] as Lengths).max;
}

/** Characters that may stand at one place of a part. */
function breadthOf(node: GrammarNode): number {
  switch (node.type) {
    case 'set':
      return node.ranges.reduce((sum, [low, high]) => sum + high - low + 1, 0);
    case 'rule':
      return 0;
    case 'repeat':
      return breadthOf(node.item);
    default:
      return Math.max(0, ...node.items.map(breadthOf));
  }
}

function choiceOf(items: readonly (GrammarNode | undefined)[]): GrammarNode | undefined {
  const left = items.filter((item) => item !== undefined);
  if (left.length === 0) return undefined;
  return left.length === 1 ? left[0] : { type: 'choice', items: left };
}
