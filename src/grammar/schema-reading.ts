import { GrammarProblem } from './problem.ts';
import type { RawSchema } from './schema-merge.ts';

/** The maximum size of a schema, so that conversion and sampling stay fast. */
export const schemaLimits = {
  /** Characters of the schema as JSON, without annotations. */
  size: 1_048_576,
  /** Levels of nested schemas. */
  depth: 32,
  /** Schemas of all levels, `$ref` targets counted once. */
  schemas: 10_000,
  /** Properties of one object that are not required and keep their order; each is tried for every token. */
  optionalProperties: 100,
  /** Characters of a property's name. */
  nameLength: 256,
  /** Schemas of one `anyOf`: each is tried for every token. */
  alternatives: 256,
  /** Values of one `enum` that are tried one by one; more of them become a tree of common beginnings. */
  listedValues: 64,
  /** Characters of all `enum` and `const` values together. */
  enumLength: 524_288,
  /** `minItems` and `maxItems`; a higher `maxItems` is lowered to it. llama.cpp counts 2000 with the rules around them. */
  items: 1990,
  /** `minLength` and `maxLength`; a higher `maxLength` is lowered to it. */
  length: 65_536,
  /** Characters of all patterns together: each pattern is analysed. */
  patternLength: 32_768,
  /** Steps of all analyses of patterns together, see `analysis-work.ts`. */
  patternWork: 60_000,
  /** Repetitions of all lengths, items and patterns together. */
  repetitions: 20_000,
} as const;

/** No value fits an alternative. */
class Impossible extends GrammarProblem {}

/** Maximum problems that one answer names. */
const maxProblems = 50;

/** What became of keywords: all that are not listed are enforced exactly. */
export interface SchemaEffects {
  /** Keywords of which only some of the allowed values can be written. */
  readonly tightened: readonly string[];
  /** Keywords without an effect on the values. */
  readonly ignored: readonly string[];
}

/** The sizes so far in one reading of a schema, and its treatment of keywords that cannot be enforced. */
export class SchemaReading {
  readonly mode: 'strict' | 'relaxed';
  /** True if the result differs from the original in more than annotations. */
  changed = false;
  readonly problems: GrammarProblem[] = [];
  readonly #tightened = new Set<string>();
  readonly #ignored = new Set<string>();
  readonly #patterns = new Set<string>();
  readonly #analyses = new Set<object>();
  #schemaCount = 0;
  #enumLength = 0;
  #repetitions = 0;
  #patternLength = 0;
  #patternWork = 0;
  /** Alternatives that are being read, one in the other. */
  #alternatives = 0;

  constructor(mode: 'strict' | 'relaxed') {
    this.mode = mode;
  }

  get effects(): SchemaEffects {
    return { tightened: [...this.#tightened], ignored: [...this.#ignored] };
  }

  /** Notes a problem; a relaxed schema continues without the keyword. The caller continues in both modes. */
  refuse(path: string, reason: string): void {
    if (this.mode === 'relaxed') {
      this.changed = true;
      this.#ignored.add(path);
    } else if (this.problems.length < maxProblems) {
      const isKnown = this.problems.some((each) => each.path === path && each.message === reason);
      if (!isKnown) this.problems.push(new GrammarProblem(path, reason));
    }
  }

  /**
   * Notes that no value fits. Throws {@link Impossible} in an alternative, which is then left out; else it is a problem,
   * or in a relaxed schema a keyword that is ignored.
   */
  impossible(path: string, reason: string): void {
    if (this.#alternatives > 0) throw new Impossible(path, reason);
    this.refuse(path, reason);
  }

  /** Reads one of several alternatives; undefined if no value fits it. */
  alternative<Result>(read: () => Result): Result | undefined {
    this.#alternatives += 1;
    try {
      return read();
    } catch (error) {
      if (!(error instanceof Impossible)) throw error;
      return undefined;
    } finally {
      this.#alternatives -= 1;
    }
  }

  get isAlternative(): boolean {
    return this.#alternatives > 0;
  }

  /** Notes a keyword of which only some of the allowed values can be written. */
  tighten(path: string): void {
    this.#tightened.add(path);
  }

  /** Notes a keyword without an effect in either mode. */
  ignore(path: string): void {
    this.#ignored.add(path);
  }

  /** Counts one more schema at a depth; false if it is one too many, or too deep. */
  countSchema(path: string, depth: number): boolean {
    this.#schemaCount += 1;
    if (this.#schemaCount > schemaLimits.schemas) {
      this.refuse('', `has more than ${schemaLimits.schemas} schemas in it`);
      return false;
    }
    if (depth > schemaLimits.depth) {
      this.refuse(path, `is more than ${schemaLimits.depth} levels deep`);
      return false;
    }
    return true;
  }

  /** Counts the values of an `enum` or a `const`; false if they are too many. */
  countValues(values: readonly unknown[], path: string): boolean {
    this.#enumLength += JSON.stringify(values).length;
    if (this.#enumLength <= schemaLimits.enumLength) return true;
    this.refuse(path, `exceeds ${schemaLimits.enumLength} characters in the whole schema`);
    return false;
  }

  countAlternatives(alternatives: readonly unknown[], path: string): boolean {
    if (alternatives.length <= schemaLimits.alternatives) return true;
    this.refuse(path, `has more than ${schemaLimits.alternatives} alternatives`);
    return false;
  }

  /** Counts a pattern, once however often it occurs; false if the patterns are too long. */
  countPattern(pattern: string, path: string): boolean {
    if (this.#patterns.has(pattern)) return true;
    this.#patterns.add(pattern);
    this.#patternLength += pattern.length;
    if (this.#patternLength <= schemaLimits.patternLength) return true;
    this.refuse(
      path,
      `exceeds ${schemaLimits.patternLength} characters of patterns in the whole schema`,
    );
    return false;
  }

  /** Counts the work of an analysis, once for all strings with its result. */
  counted<Analysis extends { readonly work: number }>(analysis: Analysis): Analysis {
    if (!this.#analyses.has(analysis)) this.#patternWork += analysis.work;
    this.#analyses.add(analysis);
    return analysis;
  }

  /** True if there is work left for another analysis. */
  get canAnalyse(): boolean {
    return this.#patternWork < schemaLimits.patternWork;
  }

  /** Counts rules of a repetition; false, and not counted, if they are too many. */
  countRepetitions(repetitions: number, path: string): boolean {
    if (this.#repetitions + repetitions <= schemaLimits.repetitions) {
      this.#repetitions += repetitions;
      return true;
    }
    this.refuse(
      path,
      `exceeds ${schemaLimits.repetitions} repetitions, of characters and items, in the whole schema`,
    );
    return false;
  }
}

/** Rewrites the schemas within a schema. */
export interface NodeReader {
  readonly reading: SchemaReading;
  /** True if the root is the arguments of a function. */
  readonly isArguments: boolean;
  /** Rewritten objects whose originals allow no properties but the listed ones. */
  readonly closed: WeakSet<RawSchema>;
  node(raw: unknown, path: string, depth: number): RawSchema;
  /** The rewritten schema that another refers to, or itself. */
  resolved(node: RawSchema): RawSchema;
}

/** Where a schema stands, and what reads the schemas within it. */
export interface NodeAt {
  readonly path: string;
  readonly depth: number;
  readonly reader: NodeReader;
}
