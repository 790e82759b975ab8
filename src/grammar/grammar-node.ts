/** Inclusive ranges of code points. */
export type Ranges = readonly (readonly [number, number])[];

/** A part of a grammar: characters, or what is made of them. */
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

/** Nodes by the name that others mention. */
export type GrammarRules = ReadonlyMap<string, GrammarNode>;

/** A repetition llama.cpp's grammars hold at most; beyond it they take any number. */
export const maxRepetition = 2000;

export const lastCodePoint = 0x10ffff;

/** What is in `from` and not in `taken`. */
export function subtractRanges(from: Ranges, taken: Ranges): Ranges {
  let left = from;
  for (const [low, high] of taken) {
    left = left.flatMap(([first, last]): Ranges => {
      if (last < low || first > high) return [[first, last]];
      const below: Ranges = first < low ? [[first, low - 1]] : [];
      const above: Ranges = last > high ? [[high + 1, last]] : [];
      return [...below, ...above];
    });
  }
  return left;
}

export function isInRanges(ranges: Ranges, code: number): boolean {
  return ranges.some(([low, high]) => low <= code && code <= high);
}
