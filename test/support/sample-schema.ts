/** Random JSON texts of a rewritten schema, as a model under its grammar could write them. */
import { writtenKey } from '../../src/grammar/written.ts';
import type { SeededRandom } from '../../tools/fixtures/seeded-random.ts';
import { sampleGrammar } from './sample-grammar.ts';

type Schema = Readonly<Record<string, unknown>>;

/** Levels beyond which optional parts are left out. */
const maxDepth = 6;

export function sampleSchema(schema: Schema, random: SeededRandom): string {
  return new SchemaSampler(schema, random).write(schema, 0);
}

class SchemaSampler {
  readonly #definitions: Readonly<Record<string, Schema>>;
  readonly #random: SeededRandom;

  constructor(root: Schema, random: SeededRandom) {
    this.#definitions = (root.$defs ?? {}) as Readonly<Record<string, Schema>>;
    this.#random = random;
  }

  write(schema: Schema, depth: number): string {
    if (typeof schema.$ref === 'string') {
      const target = this.#definitions[schema.$ref.slice('#/$defs/'.length)];
      if (target === undefined) throw new Error(`no definition ${schema.$ref}`);
      return this.write(target, depth + 1);
    }
    if ('const' in schema) {
      const grammar = (schema.const as Schema | null)?.[writtenKey];
      return typeof grammar === 'string'
        ? sampleGrammar(grammar, this.#random)
        : JSON.stringify(schema.const);
    }
    if (Array.isArray(schema.enum)) return JSON.stringify(this.#pick(schema.enum));
    if (Array.isArray(schema.anyOf)) return this.#choice(schema.anyOf, depth);
    switch (schema.type) {
      case 'object':
        return this.#object(schema, depth);
      case 'array':
        return this.#array(schema, depth);
      case 'string':
        return this.#string(schema);
      case 'integer':
        return this.#integer(schema);
      case 'number':
        return this.#pick(['0', '-1.5', '3e2', '12345.678', '-0', '7E-3']);
      case 'boolean':
        return this.#pick(['true', 'false']);
      case 'null':
        return 'null';
      default:
        return this.#pick(['null', '5', '"any"', '[]', '{}', 'true', '{"a":[1]}']);
    }
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[this.#random.integer(0, items.length - 1)] as Item;
  }

  #choice(alternatives: readonly Schema[], depth: number): string {
    // The first alternative that ends, where references go in circles.
    const isEnding = ({ $ref, type }: Schema) =>
      $ref === undefined && type !== 'object' && type !== 'array';
    const ends = alternatives.filter(isEnding);
    return this.write(
      this.#pick(depth > maxDepth && ends.length > 0 ? ends : alternatives),
      depth + 1,
    );
  }

  #object(schema: Schema, depth: number): string {
    const required = (schema.required ?? []) as readonly string[];
    const members: string[] = [];
    for (const [name, property] of Object.entries((schema.properties ?? {}) as Schema)) {
      const isThere = required.includes(name) || (depth < maxDepth && this.#random.next() < 0.6);
      if (isThere) {
        members.push(`${JSON.stringify(name)}: ${this.write(property as Schema, depth + 1)}`);
      }
    }
    if (schema.properties === undefined && schema.additionalProperties !== false) {
      const each = (schema.additionalProperties ?? {}) as Schema;
      for (let count = this.#random.integer(0, 2); count > 0 && depth < maxDepth; count--) {
        members.push(`${this.#string({})}:${this.write(each, depth + 1)}`);
      }
    }
    return `{${members.join(',')}}`;
  }

  #array(schema: Schema, depth: number): string {
    const items = schema.prefixItems as readonly Schema[] | undefined;
    if (items !== undefined)
      return `[${items.map((item) => this.write(item, depth + 1)).join(', ')}]`;
    const min = Number(schema.minItems ?? 0);
    const max = Math.min(Number(schema.maxItems ?? min + 3), min + 3);
    const count = depth < maxDepth ? this.#random.integer(min, max) : min;
    const each = (schema.items ?? {}) as Schema;
    return `[${Array.from({ length: count }, () => this.write(each, depth + 1)).join(',')}]`;
  }

  #string({ pattern }: Schema): string {
    if (typeof pattern !== 'string')
      return JSON.stringify(this.#pick(['', 'text', 'ü"\\\n', 'A b']));
    return sampleGrammar(`root ::= "\\"" (${pattern.slice(1, -1) || '""'}) "\\""`, this.#random);
  }

  #integer({ minimum, maximum }: Schema): string {
    const low = Number(minimum ?? -1000);
    const high = Number(maximum ?? 1000);
    const near = Math.min(high, low + this.#random.integer(0, 300));
    return String(this.#pick([low, high, near]));
  }
}
