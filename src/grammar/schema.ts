/**
 * JSON schemas in the form that llama.cpp's converter enforces exactly. The converter ignores keywords that it does
 * not know, and misreads some that it knows; here a schema is rewritten to one that allows no value the original
 * forbids, or refused. Where llama.cpp can enforce only a part of the allowed values, the model may write only that
 * part: no properties besides the listed ones, for example.
 */

import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { allowWork } from './analysis-work.ts';
import { GrammarProblem, SchemaProblems } from './problem.ts';
import { readArray } from './schema-array.ts';
import { type ChoiceReader, rewriteChoices } from './schema-choices.ts';
import { withGrammars } from './schema-grammar.ts';
import {
  annotations,
  hasType,
  join,
  restrictions,
  type TypeName,
  toTypeName,
  typeKeywords,
  typeNames,
} from './schema-keywords.ts';
import { Contradiction, Every, mergeSchemas, type RawSchema } from './schema-merge.ts';
import { Excluded, patternOfOthers } from './schema-negation.ts';
import { readNumber } from './schema-number.ts';
import { readObject } from './schema-object.ts';
import { type SchemaEffects, SchemaReading, schemaLimits } from './schema-reading.ts';
import { resolveReference } from './schema-reference.ts';
import { type Definitions, excludeEachOther, recursionProblem } from './schema-shape.ts';
import { readString } from './schema-string.ts';
import { readValues } from './schema-values.ts';
import { Written, writtenKey } from './written.ts';

/** A schema for llama.cpp's converter. */
export interface EnforceableSchema {
  readonly schema: RawSchema;
  /** True if it differs from the original in more than annotations. */
  readonly changed: boolean;
  readonly effects: SchemaEffects;
}

/**
 * Read schemas, or what is wrong with them, by their text: clients send the same tools with each request. Bounded by the
 * size of the texts.
 */
const cache = new Map<string, EnforceableSchema | SchemaProblems>();
const maxCacheSize = 16_777_216;
let cacheSize = 0;

/** What a schema describes: a value, or the arguments of a function, which are an object. */
export type SchemaRoot = 'value' | 'arguments';

/**
 * @throws {SchemaProblems} with the path of each keyword that cannot be enforced
 */
export function enforceableSchema(schema: object, root: SchemaRoot = 'value'): EnforceableSchema {
  return cached(`strict ${root} ${textOf(schema)}`, () =>
    new SchemaReader(schema as RawSchema, 'strict', root).read(),
  );
}

/**
 * The same without the keywords that cannot be enforced, for schemas that need not be followed exactly. Names, types,
 * listed values and required properties stay. A schema that is too large or allows nothing becomes any object.
 */
export function relaxedSchema(schema: object, root: SchemaRoot = 'arguments'): EnforceableSchema {
  return cached(`relaxed ${root} ${textOf(schema)}`, () => {
    try {
      return new SchemaReader(schema as RawSchema, 'relaxed', root).read();
    } catch (error) {
      if (!(error instanceof GrammarProblem)) throw error;
      const effects = { tightened: [], ignored: [error.path] };
      return { schema: { type: 'object' }, changed: true, effects };
    }
  });
}

/** Whether objects have the `type` of a schema, under one of the names that it has for clients; null says nothing. */
export function isObjectType(type: unknown): boolean {
  return type == null || [type].flat().some((each) => toTypeName(each) === 'object');
}

function textOf(schema: object): string {
  return JSON.stringify(schema);
}

function cached(key: string, read: () => EnforceableSchema): EnforceableSchema {
  let result = cache.get(key);
  if (result === undefined) {
    result = resultOf(read);
    remember(key, result);
  }
  if (result instanceof SchemaProblems) throw result;
  return result;
}

function resultOf(read: () => EnforceableSchema): EnforceableSchema | SchemaProblems {
  try {
    return read();
  } catch (error) {
    if (error instanceof SchemaProblems) return error;
    throw error;
  }
}

function remember(key: string, result: EnforceableSchema | SchemaProblems): void {
  const size = key.length + JSON.stringify(result).length;
  if (cacheSize + size > maxCacheSize) {
    cache.clear();
    cacheSize = 0;
  }
  if (size > maxCacheSize / 4) return;
  cache.set(key, result);
  cacheSize += size;
}

/** Steps of all analyses and comparisons of patterns in one schema. */
const maxComparisonWork = 3 * schemaLimits.patternWork;

const anyValue: readonly RawSchema[] = typeNames
  .filter((type) => type !== 'integer')
  .map((type) => ({ type }));

class SchemaReader implements ChoiceReader {
  readonly #root: RawSchema;
  readonly isArguments: boolean;
  readonly reading: SchemaReading;
  readonly closed = new WeakSet<RawSchema>();
  /** Names of `$ref` targets by pointer; a target has its name before its schema is read. */
  readonly #names = new Map<string, string>();
  readonly #definitions: Definitions = new Map();
  /** Rewritten schemas whose originals also allow every value of other types. */
  readonly #untyped = new WeakSet<RawSchema>();
  /** Occurs in no property's name, so that llama.cpp's rules for properties and definitions never collide. */
  readonly #stem: string;

  constructor(root: RawSchema, mode: 'strict' | 'relaxed', kind: SchemaRoot) {
    this.#root = root;
    this.isArguments = kind === 'arguments';
    this.reading = new SchemaReading(mode);
    const text = JSON.stringify(root, (key, value) =>
      key === 'description' && typeof value === 'string' ? undefined : value,
    );
    if (text.length > schemaLimits.size) {
      throw new GrammarProblem('', `has more than ${schemaLimits.size} characters`);
    }
    if (text.includes(writtenKey)) throw new GrammarProblem('', 'has a reserved character');
    this.#stem = createHash('sha256').update(text).digest('hex').slice(0, 12);
  }

  read(): EnforceableSchema {
    allowWork(maxComparisonWork);
    const node = this.node(this.#root, '', 0);
    const isWanted = !this.isArguments || this.#mayBeObject(node);
    const root = Object.keys(node).length > 0 && isWanted ? node : this.#anyRoot();
    this.#endRecursion(root);
    const { problems, effects } = this.reading;
    if (problems.length > 0) throw new SchemaProblems(problems);
    const placed = withGrammars(root, this.#definitions);
    if (this.#definitions.size === 0) {
      return { schema: placed, changed: this.reading.changed, effects };
    }
    const definitions = [...this.#definitions].map(
      ([name, { schema }]) => [name, withGrammars(schema, this.#definitions)] as const,
    );
    return {
      schema: { ...placed, $defs: Object.fromEntries(definitions) },
      changed: true,
      effects,
    };
  }

  /**
   * Definitions that no grammar can follow are a problem of a strict schema, and any value in a relaxed one.
   * @throws {GrammarProblem}
   */
  #endRecursion(root: RawSchema): void {
    for (;;) {
      const problem = recursionProblem(root, this.#definitions);
      if (problem === undefined) return;
      const { definition, path, reason } = problem;
      if (this.reading.mode === 'strict' || definition === undefined) {
        throw new GrammarProblem(path, reason);
      }
      this.#definitions.set(definition, { path, schema: {} });
      this.reading.refuse(path, reason);
    }
  }

  /** llama.cpp ignores a schema without keywords. */
  #anyRoot(): RawSchema {
    this.reading.changed = true;
    return this.isArguments ? { type: 'object' } : { anyOf: anyValue };
  }

  resolved(node: RawSchema): RawSchema {
    let target = node;
    for (let depth = 0; typeof target.$ref === 'string' && depth < schemaLimits.depth; depth++) {
      target = this.#definitions.get(target.$ref.slice('#/$defs/'.length))?.schema ?? {};
    }
    return target;
  }

  #mayBeObject(reference: RawSchema, depth = 0): boolean {
    if (depth > schemaLimits.depth) return false;
    const node = this.resolved(reference);
    if (Array.isArray(node.anyOf)) {
      return node.anyOf.some((each) => this.#mayBeObject(each, depth + 1));
    }
    return node.type === 'object';
  }

  node(raw: unknown, path: string, depth: number): RawSchema {
    if (!this.reading.countSchema(path, depth)) return {};
    if (raw === true) return {};
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
      if (raw === false) this.reading.impossible(path, 'allows no value');
      else this.reading.refuse(path, 'must be a schema');
      return {};
    }
    const schema = withoutNulls(raw as RawSchema);
    const node = this.#read(schema, path, depth);
    this.#noteChange(schema, node);
    return node;
  }

  /** Compares this level only; nested schemas compare themselves. */
  #noteChange(from: RawSchema, to: RawSchema): void {
    if (this.reading.changed) return;
    const containers = ['properties', 'items', 'prefixItems', 'additionalProperties', 'anyOf'];
    const constrains = (schema: RawSchema) =>
      Object.entries(schema).filter(([key, value]) => !annotations.has(key) && value !== undefined);
    const same = (key: string) =>
      containers.includes(key) && typeof from[key] === 'object'
        ? typeof to[key] === 'object'
        : isDeepStrictEqual(from[key], to[key]);
    const keys = new Set([...constrains(from), ...constrains(to)].map(([key]) => key));
    if (to.const instanceof Written || ![...keys].every(same)) this.reading.changed = true;
  }

  #read(schema: RawSchema, path: string, depth: number): RawSchema {
    for (const keyword of ['$dynamicRef', '$recursiveRef'] as const) {
      if (schema[keyword] !== undefined)
        this.reading.refuse(join(path, keyword), 'cannot be enforced');
    }
    if (schema.allOf !== undefined) return this.#allOf(schema, path, depth);
    if (schema.$ref !== undefined) return this.#ref(schema, path, depth);
    const rewritten = rewriteChoices(schema, path, this);
    if (rewritten !== schema) return this.node(rewritten, path, depth + 1);
    for (const keyword of ['oneOf', 'anyOf'] as const) {
      if (schema[keyword] !== undefined) return this.#alternatives(schema, keyword, path, depth);
    }
    const types = this.#types(schema, path);
    if (schema.const !== undefined || schema.enum !== undefined) {
      return readValues(schema, types, path, this.reading);
    }
    const [first = 'object', ...others] = types ?? [];
    if (types === undefined) return {};
    if (others.length === 0) {
      const node = this.#typed(schema, first, path, depth);
      if (schema.type === undefined) this.#untyped.add(node);
      return node;
    }
    const nodes = types
      .map((type) => this.reading.alternative(() => this.#typed(schema, type, path, depth)))
      .filter((node) => node !== undefined);
    if (nodes.length === 0) this.reading.impossible(path, 'allows no value');
    return nodes.length === 1 ? (nodes[0] as RawSchema) : { anyOf: nodes };
  }

  /** Undefined for any value. Without `type`, the type that the other keywords belong to. */
  #types(schema: RawSchema, path: string): readonly TypeName[] | undefined {
    if (schema.type === undefined) {
      if (schema.const !== undefined || schema.enum !== undefined) return undefined;
      const about = Object.keys(typeKeywords).find((type) =>
        (typeKeywords[type] ?? []).some((keyword) => schema[keyword] !== undefined),
      );
      // A format alone says nothing of other types, and is one of a string only where it is known.
      if (about === undefined && schema.not !== undefined) {
        return typeNames.filter((type) => type !== 'integer');
      }
      return about === undefined ? undefined : [about as TypeName];
    }
    const types = [schema.type].flat();
    if (types.includes('any')) return undefined;
    const known = types.map(toTypeName).filter((type) => type !== undefined);
    if (known.length < types.length || known.length === 0) {
      this.reading.refuse(join(path, 'type'), `must be of ${typeNames.join(', ')}`);
      if (known.length === 0) return undefined;
    }
    if (schema.nullable === true) known.push('null');
    // An integer is a number.
    const all = new Set(known);
    if (all.has('number')) all.delete('integer');
    return [...all];
  }

  #typed(schema: RawSchema, type: TypeName, path: string, depth: number): RawSchema {
    const excluded = Every.values(schema.not).filter((each) => each instanceof Excluded);
    if (excluded.length > 0) {
      const narrower = this.#withoutValues(schema, type, excluded, path);
      if (narrower !== schema) return this.#read(narrower, path, depth);
    }
    switch (type) {
      case 'object':
        return readObject(schema, path, depth, this);
      case 'array':
        return readArray(schema, path, depth, this);
      case 'string':
        return readString(schema, path, this.reading);
      case 'number':
      case 'integer':
        return readNumber(schema, type, path, this.reading);
      default:
        return { type };
    }
  }

  /** A schema of one type without some values; the same where none of them is of this type. */
  #withoutValues(
    schema: RawSchema,
    type: TypeName,
    excluded: readonly Excluded[],
    path: string,
  ): RawSchema {
    const { not: _, ...rest } = schema;
    const values = excluded.flatMap((each) => each.values);
    const isOfType = (value: unknown) =>
      type === 'boolean' || type === 'null' || type === 'string'
        ? typeof value === type || (type === 'null' && value === null)
        : type === 'integer' || type === 'number'
          ? typeof value === 'number'
          : typeof value === 'object' &&
            value !== null &&
            Array.isArray(value) === (type === 'array');
    const own = values.filter(isOfType);
    if (own.length === 0) return schema;
    if (type === 'boolean' || type === 'null') {
      const all = type === 'null' ? [null] : [true, false];
      return { ...rest, type, enum: all.filter((value) => !own.includes(value)) };
    }
    if (own.every((value) => value === '')) {
      return { ...rest, type, minLength: Math.max(1, Number(schema.minLength ?? 0)) };
    }
    if (type === 'string') {
      const others = patternOfOthers(own.filter((value) => typeof value === 'string'));
      return { ...rest, type, pattern: Every.of([...Every.values(schema.pattern), others]) };
    }
    if (type === 'integer' || type === 'number') {
      const [value] = own;
      const others = own.filter((each) => each !== value);
      const both = { ...rest, type, ...(others.length > 0 && { not: new Excluded(others) }) };
      const sides = [{ exclusiveMaximum: value }, { exclusiveMinimum: value }];
      return { ...both, anyOf: sides };
    }
    this.reading.refuse(join(path, 'not'), `cannot be enforced for values of type \`${type}\``);
    return { ...rest, type };
  }

  #alternatives(
    schema: RawSchema,
    keyword: 'anyOf' | 'oneOf',
    path: string,
    depth: number,
  ): RawSchema {
    const { [keyword]: all, ...others } = schema;
    const [branches, ...more] = Every.values(all);
    const rest = more.length === 0 ? others : { ...others, [keyword]: Every.of(more) };
    const at = join(path, keyword);
    if (!Array.isArray(branches) || branches.length === 0) {
      this.reading.refuse(at, 'must be an array of schemas, and not empty');
      return this.node(rest, path, depth + 1);
    }
    const listed = listedBranches(branches, keyword);
    if (listed !== undefined) {
      return this.node(this.merge([restrictions(rest), { enum: listed }], at), path, depth + 1);
    }
    if (!this.reading.countAlternatives(branches, at)) return this.node(rest, path, depth + 1);
    const siblings = restrictions(rest);
    const read = (parts: readonly (readonly unknown[])[]) =>
      parts.map((part, index) => {
        const where = `${at}[${index}]`;
        const all = Object.keys(siblings).length === 0 ? part : [siblings, ...part];
        return this.reading.alternative(() => {
          const merged = all.length === 1 ? all[0] : this.merge(all, where);
          return this.node(merged, where, depth + 1);
        });
      });
    let nodes: readonly (RawSchema | undefined)[] = read(branches.map((branch) => [branch]));
    const isExclusive =
      keyword === 'anyOf' || this.#excludeEachOther(nodes.filter((node) => node !== undefined));
    if (!isExclusive) nodes = this.#exclusive(branches, nodes, read, at);
    const left = nodes.filter((node) => node !== undefined);
    if (left.length === 0) {
      this.reading.impossible(at, 'allows no value');
      return {};
    }
    // An alternative that allows any value allows all that the others do.
    const free = left.find((node) => Object.keys(node).length === 0);
    if (free !== undefined) return free;
    return left.length === 1 ? (left[0] as RawSchema) : { anyOf: left };
  }

  #excludeEachOther(nodes: readonly RawSchema[]): boolean {
    return excludeEachOther(nodes, this.#definitions, {
      untyped: this.#untyped,
      closed: this.closed,
    });
  }

  /** Alternatives of `oneOf`, each without the values of those that it overlaps. */
  #exclusive(
    branches: readonly unknown[],
    nodes: readonly (RawSchema | undefined)[],
    read: (parts: readonly (readonly unknown[])[]) => (RawSchema | undefined)[],
    at: string,
  ): readonly (RawSchema | undefined)[] {
    const { reading } = this;
    if (reading.mode === 'strict') {
      const parts = branches.map((branch, index) => {
        const others = branches.filter((_, other) => {
          const [one, two] = [nodes[index], nodes[other]];
          return other !== index && one && two && !this.#excludeEachOther([one, two]);
        });
        return [branch, ...others.map((other) => ({ not: other }))];
      });
      const known = reading.problems.length;
      const exclusive = read(parts);
      const hasValues = exclusive.some((node) => node !== undefined);
      if (reading.problems.length === known && hasValues) {
        reading.tighten(at);
        return exclusive;
      }
      reading.problems.length = known;
    }
    reading.refuse(
      at,
      'can be enforced only where no value can match two of its schemas; use `anyOf`',
    );
    return nodes;
  }

  #allOf(schema: RawSchema, path: string, depth: number): RawSchema {
    const { allOf: members, ...rest } = schema;
    const at = join(path, 'allOf');
    if (!Array.isArray(members) || members.length === 0) {
      this.reading.refuse(at, 'must be an array of schemas, and not empty');
      return this.node(rest, path, depth + 1);
    }
    const siblings = restrictions(rest);
    const parts = Object.keys(siblings).length === 0 ? members : [siblings, ...members];
    if (parts.length === 1) return this.node(parts[0], `${at}[0]`, depth + 1);
    return this.node(this.merge(parts, at), at, depth + 1);
  }

  merge(parts: readonly unknown[], path: string): RawSchema {
    try {
      return mergeSchemas(parts, (reference) => this.resolve(reference, path));
    } catch (error) {
      if (!(error instanceof GrammarProblem)) throw error;
      const at = error.path === '' ? path : error.path;
      if (error instanceof Contradiction) this.reading.impossible(at, error.message);
      else this.reading.refuse(at, error.message);
      // Of parts that do not go together a relaxed schema keeps the first.
      const [first] = parts;
      return typeof first === 'object' && first !== null ? (first as RawSchema) : {};
    }
  }

  resolve(reference: unknown, path: string): unknown {
    return resolveReference(this.#root, reference, path);
  }

  #ref(schema: RawSchema, path: string, depth: number): RawSchema {
    const { $ref: reference, ...rest } = schema;
    const at = join(path, '$ref');
    const siblings = restrictions(rest);
    if (Object.keys(siblings).length > 0) {
      return this.node(this.merge([siblings, { $ref: reference }], at), path, depth + 1);
    }
    let target: unknown;
    try {
      target = this.resolve(reference, at);
    } catch (error) {
      if (!(error instanceof GrammarProblem)) throw error;
      this.reading.refuse(error.path, error.message);
      return {};
    }
    const pointer = String(reference);
    let name = this.#names.get(pointer);
    if (name === undefined) {
      name = `${this.#stem}${this.#names.size}x`;
      this.#names.set(pointer, name);
      this.#definitions.set(name, { path: at, schema: {} });
      try {
        this.#definitions.set(name, { path: at, schema: this.node(target, at, depth + 1) });
      } catch (error) {
        // The alternative that refers to it is left out.
        this.#names.delete(pointer);
        this.#definitions.delete(name);
        throw error;
      }
    }
    return { $ref: `#/$defs/${name}` };
  }
}

/** Keywords without a value are absent; a constant may be null. */
function withoutNulls(schema: RawSchema): RawSchema {
  if (!Object.entries(schema).some(([key, value]) => value === null && key !== 'const'))
    return schema;
  return Object.fromEntries(
    Object.entries(schema).filter(([key, value]) => value !== null || key === 'const'),
  );
}

/** The values of alternatives that are constants or lists of values, each with at most a type. */
function listedBranches(
  branches: readonly unknown[],
  keyword: 'anyOf' | 'oneOf',
): readonly unknown[] | undefined {
  if (branches.length < 2) return undefined;
  const values: unknown[] = [];
  for (const branch of branches) {
    if (typeof branch !== 'object' || branch === null) return undefined;
    const keywords = Object.keys(branch).filter((key) => !annotations.has(key));
    const { type, const: constant, enum: list } = branch as RawSchema;
    const isConstant = constant !== undefined && list === undefined;
    if (!isConstant && !(Array.isArray(list) && constant === undefined)) return undefined;
    const own = isConstant ? [constant] : (list as readonly unknown[]);
    const name = toTypeName(type);
    const isTyped = type === undefined || (name && own.every((value) => hasType(value, name)));
    if (!isTyped || keywords.some((key) => !['type', 'const', 'enum'].includes(key)))
      return undefined;
    values.push(...own);
  }
  const different = new Map(values.map((value) => [JSON.stringify(value), value]));
  // A value of two alternatives is none of `oneOf`.
  if (keyword === 'oneOf' && different.size < values.length) return undefined;
  return [...different.values()];
}
