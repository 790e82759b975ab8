/** Random texts of a grammar, as a model under it could write them. */
import { GbnfParser } from '../../src/grammar/gbnf-parser.ts';
import type { GrammarNode, GrammarRules } from '../../src/grammar/grammar-node.ts';
import type { SeededRandom } from '../../tools/fixtures/seeded-random.ts';

/** Levels of rules, and characters, beyond which the shortest way to the end is taken. */
const maxDepth = 40;
const maxLength = 1000;

/** Parsed grammars by their text. */
const parsed = new Map<string, Sampler>();

export function sampleGrammar(grammar: string, random: SeededRandom): string {
  let sampler = parsed.get(grammar);
  if (sampler === undefined) {
    sampler = new Sampler(new GbnfParser(grammar).parse());
    parsed.set(grammar, sampler);
  }
  return sampler.sample(random);
}

class Sampler {
  readonly #rules: GrammarRules;
  /** Levels of rules that each rule needs at least. */
  readonly #depths = new Map<string, number>();

  constructor(rules: GrammarRules) {
    this.#rules = rules;
    for (let before = -1; before < this.#depths.size; ) {
      before = this.#depths.size;
      for (const [name, node] of rules) {
        const depth = this.#depthOf(node) + 1;
        if (Number.isFinite(depth) && !this.#depths.has(name)) this.#depths.set(name, depth);
      }
    }
  }

  #length = 0;

  sample(random: SeededRandom): string {
    this.#length = 0;
    const root = this.#rules.get('root');
    if (root === undefined) throw new Error('the grammar has no root');
    return this.#write(root, random, 0);
  }

  #isFree(depth: number): boolean {
    return depth < maxDepth && this.#length < maxLength;
  }

  #depthOf(node: GrammarNode): number {
    switch (node.type) {
      case 'set':
        return 0;
      case 'rule':
        return this.#depths.get(node.name) ?? Number.POSITIVE_INFINITY;
      case 'sequence':
        return Math.max(0, ...node.items.map((item) => this.#depthOf(item)));
      case 'choice':
        return Math.min(...node.items.map((item) => this.#depthOf(item)));
      case 'repeat':
        return node.min === 0 ? 0 : this.#depthOf(node.item);
    }
  }

  #write(node: GrammarNode, random: SeededRandom, depth: number): string {
    switch (node.type) {
      case 'set': {
        this.#length += 1;
        const [low, high] = node.ranges[random.integer(0, node.ranges.length - 1)] ?? [0, 0];
        // Characters near the ends of a range are the likeliest to be wrong.
        const code =
          random.next() < 0.3 ? high : low + random.integer(0, Math.min(high - low, 200));
        return code >= 0xd800 && code <= 0xdfff ? 'x' : String.fromCodePoint(code);
      }
      case 'rule': {
        const rule = this.#rules.get(node.name);
        if (rule === undefined) throw new Error(`the grammar has no rule ${node.name}`);
        return this.#write(rule, random, depth + 1);
      }
      case 'sequence':
        return node.items.map((item) => this.#write(item, random, depth)).join('');
      case 'choice': {
        const depths = node.items.map((item) => this.#depthOf(item));
        const short = Math.min(...depths);
        const open = node.items.filter(
          (_, index) => this.#isFree(depth) || depths[index] === short,
        );
        return this.#write(open[random.integer(0, open.length - 1)] as GrammarNode, random, depth);
      }
      case 'repeat': {
        const more = this.#isFree(depth) ? random.integer(0, 3) : 0;
        const isLong = this.#isFree(depth) && random.next() < 0.03;
        const max = Math.min(node.max, node.min + (isLong ? 300 : more));
        let text = '';
        for (let count = 0; count < max; count++) text += this.#write(node.item, random, depth);
        return text;
      }
    }
  }
}
