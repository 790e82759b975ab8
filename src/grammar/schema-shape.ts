/** Properties of a rewritten schema: whether its values are finite, and whether schemas exclude each other. */
import type { RawSchema } from './schema-merge.ts';
import { Written } from './written.ts';

/** Rewritten targets of `$ref` by name, with the path of the first reference. */
export type Definitions = Map<string, { readonly path: string; readonly schema: RawSchema }>;

/** A definition that no grammar can follow; undefined for the root. */
export interface RecursionProblem {
  readonly definition: string | undefined;
  readonly path: string;
  readonly reason: string;
}

/**
 * Finds definitions that no finite value matches, that refer to themselves before a character is written, or that have too
 * many alternatives.
 * @returns the first of them
 */
export function recursionProblem(
  root: RawSchema,
  definitions: Definitions,
): RecursionProblem | undefined {
  const problem = problemOfAlternatives(definitions);
  if (problem !== undefined) return problem;
  const reason = 'describes values that never end';
  const finite = new Set<string>();
  let before = -1;
  while (finite.size > before) {
    before = finite.size;
    for (const [name, { schema }] of definitions) if (canEnd(schema, finite)) finite.add(name);
  }
  for (const [name, { path }] of definitions) {
    if (!finite.has(name)) return { definition: name, path, reason };
  }
  return canEnd(root, finite) ? undefined : { definition: undefined, path: '', reason };
}

/** Alternatives of one definition, including those of its references. */
const maxAlternatives = 1000;

/** Comparisons after which two schemas count as overlapping. */
const maxComparisons = 10_000;

/** What the originals of rewritten schemas are like. */
export interface Originals {
  /** They allow every value of other types. */
  readonly untyped: WeakSet<RawSchema>;
  /** They allow no properties but the listed ones. */
  readonly closed: WeakSet<RawSchema>;
}

/**
 * Whether no value that a grammar writes for one schema matches another.
 */
export function excludeEachOther(
  schemas: readonly RawSchema[],
  definitions: Definitions,
  originals: Originals,
): boolean {
  const comparison = new Comparison(definitions, originals);
  return schemas.every((schema, index) =>
    schemas.slice(index + 1).every((other) => comparison.areDisjoint(schema, other)),
  );
}

class Comparison {
  readonly #definitions: Definitions;
  readonly #originals: Originals;
  #count = 0;

  constructor(definitions: Definitions, originals: Originals) {
    this.#definitions = definitions;
    this.#originals = originals;
  }

  areDisjoint(one: RawSchema, other: RawSchema): boolean {
    this.#count += 1;
    // References may be circular.
    if (this.#count > maxComparisons) return false;
    const alternatives = this.#alternativesOf(one);
    if (alternatives !== undefined)
      return alternatives.every((each) => this.areDisjoint(each, other));
    if (this.#alternativesOf(other) !== undefined) return this.areDisjoint(other, one);

    const [values, otherValues] = [valuesOf(one), valuesOf(other)];
    if (values !== undefined && otherValues !== undefined)
      return haveNoneInCommon(values, otherValues);
    const otherTypes = this.#typesOf(other);
    if (this.#typesOf(one).every((type) => !otherTypes.includes(type))) return true;
    if (one.type !== 'object' || other.type !== 'object') return false;
    if (this.#needsOther(one, other) || this.#needsOther(other, one)) return true;
    const required = new Set((other.required ?? []) as readonly string[]);
    return ((one.required ?? []) as readonly string[]).some(
      (name) =>
        required.has(name) && this.#areDistinct(propertyOf(one, name), propertyOf(other, name)),
    );
  }

  /** True if `one` has a property that `other` does not allow. */
  #needsOther(one: RawSchema, other: RawSchema): boolean {
    if (!this.#originals.closed.has(other)) return false;
    const names = Object.keys((other.properties ?? {}) as RawSchema);
    return ((one.required ?? []) as readonly string[]).some((name) => !names.includes(name));
  }

  /** True if two properties have listed values and no value in common. */
  #areDistinct(one: RawSchema, other: RawSchema): boolean {
    this.#count += 1;
    const [values, otherValues] = [one, other].map((schema) => {
      const name = nameOf(schema);
      return valuesOf(name === undefined ? schema : (this.#definitions.get(name)?.schema ?? {}));
    });
    return (
      values !== undefined && otherValues !== undefined && haveNoneInCommon(values, otherValues)
    );
  }

  #alternativesOf(schema: RawSchema): readonly RawSchema[] | undefined {
    const name = nameOf(schema);
    if (name !== undefined) return [this.#definitions.get(name)?.schema ?? {}];
    return schema.anyOf === undefined ? undefined : alternativesOf(schema);
  }

  #typesOf(schema: RawSchema): readonly string[] {
    return this.#originals.untyped.has(schema) ? allTypes : typesOf(schema);
  }
}

function haveNoneInCommon(one: readonly unknown[], other: readonly unknown[]): boolean {
  const texts = new Set(one.map((value) => JSON.stringify(value)));
  // The order of properties does not matter, so objects are not compared as text.
  if ([...one, ...other].some((value) => typeof value === 'object' && value !== null)) return false;
  return !other.some((value) => texts.has(JSON.stringify(value)));
}

const allTypes = ['object', 'array', 'string', 'number', 'boolean', 'null'] as const;

function nameOf(schema: RawSchema): string | undefined {
  return typeof schema.$ref === 'string' ? schema.$ref.slice('#/$defs/'.length) : undefined;
}

function alternativesOf(schema: RawSchema): readonly RawSchema[] {
  return Array.isArray(schema.anyOf) ? schema.anyOf : [];
}

/**
 * Counts the alternatives of each definition, its references followed, because readers of a schema follow each. A
 * definition that is met while it is counted refers to itself.
 */
function problemOfAlternatives(definitions: Definitions): RecursionProblem | undefined {
  const counts = new Map<string, number | 'open'>();
  let problem: RecursionProblem | undefined;
  const note = (definition: string, reason: string) => {
    const path = definitions.get(definition)?.path ?? '';
    problem ??= { definition, path, reason };
  };
  const countOf = (name: string): number => {
    const known = counts.get(name);
    if (known === 'open') {
      note(name, 'refers to itself and describes nothing');
      return 1;
    }
    if (known !== undefined) return known;
    counts.set(name, 'open');
    const count = sumOf(definitions.get(name)?.schema ?? {});
    if (count > maxAlternatives) note(name, `has more than ${maxAlternatives} alternatives`);
    counts.set(name, count);
    return count;
  };
  const sumOf = (schema: RawSchema): number => {
    const next = nameOf(schema);
    if (next !== undefined) return countOf(next);
    if (schema.anyOf === undefined) return 1;
    return alternativesOf(schema).reduce((sum, each) => sum + sumOf(each), 0);
  };
  for (const name of definitions.keys()) countOf(name);
  return problem;
}

function canEnd(schema: RawSchema, finite: ReadonlySet<string>): boolean {
  const name = nameOf(schema);
  if (name !== undefined) return finite.has(name);
  if (schema.anyOf !== undefined) {
    return alternativesOf(schema).some((each) => canEnd(each, finite));
  }
  if (schema.type === 'object') {
    const properties = (schema.properties ?? {}) as Record<string, RawSchema>;
    const required = (schema.required ?? []) as readonly string[];
    return required.every((each) => canEnd(properties[each] ?? {}, finite));
  }
  if (schema.type === 'array') {
    const items = (schema.prefixItems ?? []) as readonly RawSchema[];
    const minItems = (schema.minItems ?? 0) as number;
    const each = (schema.items ?? {}) as RawSchema;
    return items.every((item) => canEnd(item, finite)) && (minItems === 0 || canEnd(each, finite));
  }
  return true;
}

function propertyOf(schema: RawSchema, name: string): RawSchema {
  return (schema.properties as Record<string, RawSchema> | undefined)?.[name] ?? {};
}

function valuesOf(schema: RawSchema): readonly unknown[] | undefined {
  if ('const' in schema && !(schema.const instanceof Written)) return [schema.const];
  return Array.isArray(schema.enum) ? schema.enum : undefined;
}

/** An integer counts as a number. */
function typesOf(schema: RawSchema): readonly string[] {
  const values = valuesOf(schema);
  if (values !== undefined) {
    return values.map((value) => {
      if (value === null) return 'null';
      return Array.isArray(value) ? 'array' : typeof value;
    });
  }
  if (schema.type === 'integer') return ['number'];
  if (typeof schema.type === 'string') return [schema.type];
  return allTypes;
}
