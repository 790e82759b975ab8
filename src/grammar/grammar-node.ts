/** Inclusive ranges of code points. */
export type Ranges = readonly (readonly [number, number])[];

/** A part of a grammar. */
export type GrammarNode =
  | { readonly type: 'set'; readonly ranges: Ranges }
  | { readonly type: 'rule'; readonly name: string }
  | { readonly type: 'sequence'; readonly items: readonly GrammarNode[] }
  | { readonly type: 'choice'; readonly items: readonly GrammarNode[] }
  | {
      readonly type: 'repeat';
      readonly item: GrammarNode;
      readonly min: number;
      /** Infinity without a bound. */
      readonly max: number;
    };

/** Nodes by the names of their rules. */
export type GrammarRules = ReadonlyMap<string, GrammarNode>;

/** Maximum repetition in llama.cpp's grammars; above it they accept any number. */
export const maxRepetition = 2000;

export const lastCodePoint = 0x10ffff;

/** The code points in `from` that are not in `taken`. */
export function subtractRanges(from: Ranges, taken: Ranges): Ranges {
  const sorted = joinRanges(taken);
  return from.flatMap(([first, last]): Ranges => {
    const left: [number, number][] = [];
    let next = first;
    for (let index = firstEndingFrom(sorted, first); index < sorted.length; index++) {
      const [low, high] = sorted[index] ?? [0, 0];
      if (low > last) break;
      if (low > next) left.push([next, low - 1]);
      next = Math.max(next, high + 1);
    }
    if (next <= last) left.push([next, last]);
    return left;
  });
}

/** Index of the first of sorted ranges that does not end before a code point. */
function firstEndingFrom(sorted: Ranges, code: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle]?.[1] ?? 0) < code) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The same code points in ranges that neither overlap nor touch, in their order. */
export function joinRanges(ranges: Ranges): Ranges {
  const joined: [number, number][] = [];
  for (const [low, high] of [...ranges].sort(([one], [other]) => one - other)) {
    const last = joined.at(-1);
    if (last !== undefined && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else joined.push([low, high]);
  }
  return joined;
}

export function isInRanges(ranges: Ranges, code: number): boolean {
  return ranges.some(([low, high]) => low <= code && code <= high);
}

/** The same in ranges as `joinRanges` returns them, which may be many. */
export function isInSortedRanges(ranges: Ranges, code: number): boolean {
  const found = ranges[firstEndingFrom(ranges, code)];
  return found !== undefined && found[0] <= code;
}
