import { maxRepetition } from './grammar-node.ts';
import { GrammarProblem } from './problem.ts';
import type { RawSchema } from './schema-merge.ts';

/** The maximum size of a schema, so that conversion and sampling stay fast. */
export const schemaLimits = {
  /** Characters of the schema as JSON. */
  size: 131_072,
  /** Levels of nested schemas. */
  depth: 32,
  /** Schemas of all levels, `$ref` targets counted once. */
  schemas: 1000,
  /** Properties of one object that are not required: their rules grow with the square of the number. */
  optionalProperties: 100,
  /** Characters of a property's name. */
  nameLength: 128,
  /** Values of one `enum`, or schemas of one `anyOf`: each is tried for every token. */
  alternatives: 256,
  /** Values of all `enum`s together. */
  enumValues: 1000,
  /** Characters of all `enum` and `const` values together. */
  enumLength: 16_384,
  /** `minItems` and `maxItems`. */
  items: 500,
  /** `minLength` and `maxLength`. */
  length: maxRepetition,
  /** Characters of all patterns together: each pattern is analysed. */
  patternLength: 8192,
  /** Repetitions of all lengths, items and patterns together. */
  repetitions: 10_000,
} as const;

/** The sizes so far in one reading of a schema, and its treatment of keywords that cannot be enforced. */
export class SchemaReading {
  readonly mode: 'strict' | 'relaxed';
  /** True if the result differs from the original in more than annotations. */
  changed = false;
  #schemaCount = 0;
  #enumCount = 0;
  #enumLength = 0;
  #repetitions = 0;
  #patternLength = 0;

  constructor(mode: 'strict' | 'relaxed') {
    this.mode = mode;
  }

  /** Throws, or in a relaxed schema continues without the keyword. */
  refuse(path: string, reason: string): void {
    if (this.mode === 'strict') throw new GrammarProblem(path, reason);
    this.changed = true;
  }

  /** Counts one more schema at a depth. */
  countSchema(path: string, depth: number): void {
    this.#schemaCount += 1;
    if (this.#schemaCount > schemaLimits.schemas) {
      throw new GrammarProblem('', `has more than ${schemaLimits.schemas} schemas in it`);
    }
    if (depth > schemaLimits.depth) {
      throw new GrammarProblem(path, `is more than ${schemaLimits.depth} levels deep`);
    }
  }

  /** Counts the values of an `enum` or a `const`. */
  countValues(values: readonly unknown[], path: string): void {
    this.#enumCount += values.length;
    this.#enumLength += JSON.stringify(values).length;
    if (this.#enumCount > schemaLimits.enumValues) {
      throw new GrammarProblem(
        path,
        `exceeds ${schemaLimits.enumValues} values in the whole schema`,
      );
    }
    if (this.#enumLength > schemaLimits.enumLength) {
      throw new GrammarProblem(
        path,
        `exceeds ${schemaLimits.enumLength} characters in the whole schema`,
      );
    }
    this.countAlternatives(values, path);
  }

  countAlternatives(alternatives: readonly unknown[], path: string): void {
    if (alternatives.length <= schemaLimits.alternatives) return;
    throw new GrammarProblem(path, `has more than ${schemaLimits.alternatives} alternatives`);
  }

  countPattern(length: number, path: string): void {
    this.#patternLength += length;
    if (this.#patternLength <= schemaLimits.patternLength) return;
    throw new GrammarProblem(
      path,
      `exceeds ${schemaLimits.patternLength} characters of patterns in the whole schema`,
    );
  }

  countRepetitions(repetitions: number, path: string): void {
    this.#repetitions += repetitions;
    if (this.#repetitions <= schemaLimits.repetitions) return;
    throw new GrammarProblem(
      path,
      `exceeds ${schemaLimits.repetitions} repetitions, of characters and items, in the whole schema`,
    );
  }
}

/** Rewrites the schemas within a schema. */
export interface NodeReader {
  readonly reading: SchemaReading;
  node(raw: unknown, path: string, depth: number): RawSchema;
}
