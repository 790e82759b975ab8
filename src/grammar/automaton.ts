/** Finite automata, written as patterns. */
import { type GrammarNode, joinRanges, type Ranges } from './grammar-node.ts';

/** Nodes that are made for one pattern, of which most stay in it. */
const maxNodes = 20_000;

const start = -1;
const end = -2;

/** States are numbers from 0 on; 0 is the first. */
export class Automaton {
  /** From a state to another, what leads there. */
  readonly #edges = new Map<number, Map<number, GrammarNode>>();

  #madeCount = 0;

  constructor() {
    this.#connect(start, 0, nothing);
  }

  /** Strings may end in this state. */
  accept(state: number): void {
    this.#connect(state, end, nothing);
  }

  connect(from: number, to: number, [low, high]: readonly [number, number]): void {
    const known = this.#edges.get(from)?.get(to);
    const ranges: Ranges = known?.type === 'set' ? known.ranges : [];
    this.#set(from, to, { type: 'set', ranges: joinRanges([...ranges, [low, high]]) });
  }

  /**
   * The strings that lead from the first state to one that accepts; undefined if there is none, or the pattern would be
   * too large. States are removed one by one: what led through a state then leads past it.
   */
  toPattern(): GrammarNode | undefined {
    const states = new Set([...this.#edges.keys()].filter((state) => state >= 0));
    for (const targets of this.#edges.values()) {
      for (const state of targets.keys()) if (state >= 0) states.add(state);
    }
    while (states.size > 0) {
      const [state] = [...states].sort((one, other) => this.#cost(one) - this.#cost(other));
      if (state === undefined) break;
      states.delete(state);
      this.#remove(state);
      if (this.#madeCount > maxNodes) return undefined;
    }
    return this.#edges.get(start)?.get(end);
  }

  #set(from: number, to: number, node: GrammarNode): void {
    const targets = this.#edges.get(from) ?? new Map<number, GrammarNode>();
    targets.set(to, node);
    this.#edges.set(from, targets);
  }

  #connect(from: number, to: number, node: GrammarNode): void {
    const known = this.#edges.get(from)?.get(to);
    this.#set(from, to, known === undefined ? node : either(known, node));
  }

  #into(state: number): [number, GrammarNode][] {
    const edges: [number, GrammarNode][] = [];
    for (const [from, targets] of this.#edges) {
      const node = targets.get(state);
      if (from !== state && node !== undefined) edges.push([from, node]);
    }
    return edges;
  }

  #from(state: number): [number, GrammarNode][] {
    return [...(this.#edges.get(state) ?? [])].filter(([to]) => to !== state);
  }

  #cost(state: number): number {
    return this.#into(state).length * this.#from(state).length;
  }

  #remove(state: number): void {
    const loop = this.#edges.get(state)?.get(state);
    const around: GrammarNode =
      loop === undefined
        ? nothing
        : { type: 'repeat', item: loop, min: 0, max: Number.POSITIVE_INFINITY };
    for (const [from, before] of this.#into(state)) {
      for (const [to, after] of this.#from(state)) {
        const node = sequenceOf([before, around, after]);
        this.#madeCount += sizeOf(node);
        if (this.#madeCount > maxNodes) return;
        this.#connect(from, to, node);
      }
      this.#edges.get(from)?.delete(state);
    }
    this.#edges.delete(state);
  }
}

const nothing: GrammarNode = { type: 'sequence', items: [] };

function either(one: GrammarNode, other: GrammarNode): GrammarNode {
  const items = [one, other].flatMap((node) => (node.type === 'choice' ? node.items : [node]));
  return { type: 'choice', items };
}

function sequenceOf(parts: readonly GrammarNode[]): GrammarNode {
  const items = parts.flatMap((node) => (node.type === 'sequence' ? node.items : [node]));
  return items.length === 1 ? (items[0] as GrammarNode) : { type: 'sequence', items };
}

function sizeOf(node: GrammarNode): number {
  switch (node.type) {
    case 'set':
    case 'rule':
      return 1;
    case 'repeat':
      return 1 + sizeOf(node.item);
    default:
      return node.items.reduce((sum, item) => sum + sizeOf(item), 1);
  }
}
