/**
 * Finds grammars in which one text can be read in very many ways. llama.cpp follows all readings at the same time,
 * for every token of the vocabulary: a few thousand take seconds, and a doubling at each character never ends.
 * Ambiguity is undecidable in general; the check reads, from each rule, the text with the most readings.
 */
import { countWork } from './analysis-work.ts';
import {
  type GrammarNode,
  type GrammarRules,
  isInRanges,
  isInSortedRanges,
  joinRanges,
} from './grammar-node.ts';
import { GrammarProblem } from './problem.ts';

/** Maximum readings of a text at the same time. */
const maxReadings = 128;

/** Characters read from each rule: enough to find doubling, and nested repetitions. */
const textLength = 24;

/** Characters tried at each position. */
const maxTrials = 12;

/** Nodes visited in all; a grammar that needs more is refused. */
const maxWork = 400_000;

/** The rest of a reading: a linked list, so that readings share their ends. */
interface Rest {
  readonly node: GrammarNode;
  /** Items of a sequence, or repetitions, that were read. */
  readonly count: number;
  readonly after: Rest | undefined;
  readonly key: string;
}

/** Readings whose next node is a character, by their rest. */
type Readings = ReadonlyMap<string, Rest>;

/**
 * @param work - nodes visited in all
 * @throws {GrammarProblem} when a text can be read in too many ways
 */
export function checkAmbiguity(rules: GrammarRules, work = maxWork): void {
  const reader = new Reader(rules, work);
  for (const [name, node] of rules) reader.checkFrom(name, node);
}

class Reader {
  readonly #rules: GrammarRules;
  readonly #ids = new Map<GrammarNode, number>();
  #work = 0;

  readonly #maxWork: number;

  constructor(rules: GrammarRules, work: number) {
    this.#rules = rules;
    this.#maxWork = work;
  }

  checkFrom(name: string, node: GrammarNode): void {
    let readings = this.#expand([this.#rest(node, 0, undefined)], name);
    for (let length = 0; length < textLength && readings.size > 0; length++) {
      let widest: Readings = new Map();
      for (const character of trials(readings)) {
        const next = this.#read(readings, character, name);
        if (next.size > widest.size) widest = next;
      }
      readings = widest;
    }
  }

  #rest(node: GrammarNode, count: number, after: Rest | undefined): Rest {
    let id = this.#ids.get(node);
    if (id === undefined) {
      id = this.#ids.size;
      this.#ids.set(node, id);
    }
    return { node, count, after, key: `${id}:${count}/${after?.key ?? ''}` };
  }

  #read(readings: Readings, character: number, name: string): Readings {
    const after: (Rest | undefined)[] = [];
    for (const rest of readings.values()) {
      if (rest.node.type === 'set' && isInRanges(rest.node.ranges, character))
        after.push(rest.after);
    }
    return this.#expand(after, name);
  }

  /** Expands rules and groups until each reading begins with a character. */
  #expand(from: readonly (Rest | undefined)[], name: string): Readings {
    const readings = new Map<string, Rest>();
    const seen = new Set<string>();
    const open = [...from];
    while (open.length > 0) {
      const rest = open.pop();
      if (rest === undefined || seen.has(rest.key)) continue;
      seen.add(rest.key);
      const steps = 1 + rest.key.length / 64;
      this.#work += steps;
      countWork(steps);
      if (this.#work > this.#maxWork || seen.size > maxReadings * 64) tooAmbiguous(name);
      if (rest.node.type === 'set') {
        readings.set(rest.key, rest);
        if (readings.size > maxReadings) tooAmbiguous(name);
      } else open.push(...this.#inside(rest));
    }
    return readings;
  }

  #inside({ node, count, after }: Rest): (Rest | undefined)[] {
    switch (node.type) {
      case 'set':
        return [];
      case 'rule': {
        const rule = this.#rules.get(node.name);
        return rule === undefined ? [] : [this.#rest(rule, 0, after)];
      }
      case 'choice':
        return node.items.map((item) => this.#rest(item, 0, after));
      case 'sequence': {
        // `count` is the number of items that were read.
        const item = node.items[count];
        if (item === undefined) return [after];
        const isLast = count + 1 === node.items.length;
        return [this.#rest(item, 0, isLast ? after : this.#rest(node, count + 1, after))];
      }
      case 'repeat': {
        const again = count < node.max;
        // Without an upper bound all counts above the lower bound are equal.
        const next = Number.isFinite(node.max) ? count + 1 : Math.min(count + 1, node.min);
        return [
          ...(count >= node.min ? [after] : []),
          ...(again ? [this.#rest(node.item, 0, this.#rest(node, next, after))] : []),
        ];
      }
    }
  }
}

/** One character of each kind that the readings distinguish, the most accepted first. */
function trials(readings: Readings): number[] {
  const accepted = new Map<number, number>();
  const sets = [...readings.values()].flatMap(({ node }) =>
    node.type === 'set' ? [joinRanges(node.ranges)] : [],
  );
  for (const [low] of sets.flat()) {
    accepted.set(low, 0);
    if (accepted.size > 4 * maxReadings) break;
  }
  for (const character of accepted.keys()) {
    const count = sets.filter((ranges) => isInSortedRanges(ranges, character)).length;
    accepted.set(character, count);
  }
  const sorted = [...accepted].sort(([, one], [, other]) => other - one);
  return sorted.slice(0, maxTrials).map(([character]) => character);
}

function tooAmbiguous(name: string): never {
  throw new GrammarProblem(
    '',
    `can read one text in more than ${maxReadings} ways, or is too large to decide, in \`${name}\``,
  );
}
