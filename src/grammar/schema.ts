/**
 * JSON schemas in the form that llama.cpp's converter enforces exactly. The converter ignores keywords that it does
 * not know, and misreads some that it knows; here a schema is rewritten to one that allows no value the original
 * forbids, or refused. Where llama.cpp can enforce only a part of the allowed values, the model may write only that
 * part: no properties besides the listed ones, for example.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { GrammarProblem } from './problem.ts';
import { readArray } from './schema-array.ts';
import {
  annotations,
  join,
  refusedKeywords,
  refusedTypeKeywords,
  restrictions,
  type TypeName,
  typeKeywords,
  typeNames,
} from './schema-keywords.ts';
import { mergeSchemas, type RawSchema } from './schema-merge.ts';
import { readObject } from './schema-object.ts';
import { type NodeReader, SchemaReading, schemaLimits } from './schema-reading.ts';
import { resolveReference } from './schema-reference.ts';
import { readNumber, readString } from './schema-scalars.ts';
import { checkRecursion, type Definitions, excludeEachOther } from './schema-shape.ts';
import { readValues } from './schema-values.ts';

/** A schema for llama.cpp's converter. */
export interface EnforceableSchema {
  readonly schema: RawSchema;
  /** True if it differs from the original in more than annotations. */
  readonly changed: boolean;
}

/**
 * @throws {GrammarProblem} with the path of the first keyword that cannot be enforced
 */
export function enforceableSchema(schema: object): EnforceableSchema {
  return new SchemaReader(schema as RawSchema, 'strict').read();
}

/**
 * The same without the keywords that cannot be enforced, for schemas that are shown to the model and need not be
 * followed exactly. A schema that is too large becomes any object.
 */
export function relaxedSchema(schema: object): EnforceableSchema {
  try {
    return new SchemaReader(schema as RawSchema, 'relaxed').read();
  } catch (error) {
    if (!(error instanceof GrammarProblem)) throw error;
    return { schema: { type: 'object' }, changed: true };
  }
}

const anyValue: readonly RawSchema[] = typeNames
  .filter((type) => type !== 'integer')
  .map((type) => ({ type }));

class SchemaReader implements NodeReader {
  readonly #root: RawSchema;
  readonly reading: SchemaReading;
  /** Names of `$ref` targets by pointer; a target has its name before its schema is read. */
  readonly #names = new Map<string, string>();
  readonly #definitions: Definitions = new Map();
  /** Rewritten schemas whose originals also allow every value of other types. */
  readonly #untyped = new WeakSet<RawSchema>();
  /** Occurs in no property's name, so that llama.cpp's rules for properties and definitions never collide. */
  readonly #stem: string;

  constructor(root: RawSchema, mode: 'strict' | 'relaxed') {
    this.#root = root;
    this.reading = new SchemaReading(mode);
    const text = JSON.stringify(root);
    if (text.length > schemaLimits.size) {
      throw new GrammarProblem('', `has more than ${schemaLimits.size} characters`);
    }
    this.#stem = createHash('sha256').update(text).digest('hex').slice(0, 12);
  }

  read(): EnforceableSchema {
    const node = this.node(this.#root, '', 0);
    const root = Object.keys(node).length > 0 ? node : this.#anyRoot();
    checkRecursion(root, this.#definitions);
    if (this.#definitions.size === 0) return { schema: root, changed: this.reading.changed };
    const definitions = [...this.#definitions].map(([name, { schema }]) => [name, schema]);
    return { schema: { ...root, $defs: Object.fromEntries(definitions) }, changed: true };
  }

  /** llama.cpp ignores a schema without keywords. Relaxed schemas are arguments, and so an object. */
  #anyRoot(): RawSchema {
    this.reading.changed = true;
    return this.reading.mode === 'strict' ? { anyOf: anyValue } : { type: 'object' };
  }

  node(raw: unknown, path: string, depth: number): RawSchema {
    this.reading.countSchema(path, depth);
    if (raw === true) return {};
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
      this.reading.refuse(path, raw === false ? 'allows no value' : 'must be a schema');
      return {};
    }
    const schema = raw as RawSchema;
    const node = this.#read(schema, path, depth);
    this.#noteChange(schema, node);
    return node;
  }

  /** Compares this level only; nested schemas compare themselves. */
  #noteChange(from: RawSchema, to: RawSchema): void {
    const containers = ['properties', 'items', 'prefixItems', 'additionalProperties', 'anyOf'];
    const constrains = (schema: RawSchema) =>
      Object.entries(schema).filter(([key, value]) => !annotations.has(key) && value !== undefined);
    const same = (key: string) =>
      containers.includes(key) && typeof from[key] === 'object'
        ? typeof to[key] === 'object'
        : isDeepStrictEqual(from[key], to[key]);
    const keys = new Set([...constrains(from), ...constrains(to)].map(([key]) => key));
    if (![...keys].every(same)) this.reading.changed = true;
  }

  #read(schema: RawSchema, path: string, depth: number): RawSchema {
    for (const keyword of refusedKeywords) {
      if (schema[keyword] !== undefined)
        this.reading.refuse(join(path, keyword), 'cannot be enforced');
    }
    if (schema.$id !== undefined && depth > 0) {
      this.reading.refuse(join(path, '$id'), 'is supported at the top only');
    }
    if (schema.allOf !== undefined) return this.#allOf(schema, path, depth);
    if (schema.$ref !== undefined) return this.#ref(schema, path, depth);
    for (const keyword of ['anyOf', 'oneOf'] as const) {
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
    return { anyOf: types.map((type) => this.#typed(schema, type, path, depth)) };
  }

  /** Undefined for any value. Without `type`, the type that the other keywords belong to. */
  #types(schema: RawSchema, path: string): readonly TypeName[] | undefined {
    if (schema.type === undefined) {
      if (schema.const !== undefined || schema.enum !== undefined) return undefined;
      const about = Object.keys(typeKeywords).find((type) =>
        [...(typeKeywords[type] ?? []), ...(refusedTypeKeywords[type] ?? [])].some(
          (keyword) => schema[keyword] !== undefined,
        ),
      );
      return about === undefined ? undefined : [about as TypeName];
    }
    const types = [schema.type].flat();
    const known = types.filter((type): type is TypeName =>
      (typeNames as readonly unknown[]).includes(type),
    );
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
    const family = type === 'integer' ? 'number' : type;
    for (const keyword of refusedTypeKeywords[family] ?? []) {
      if (schema[keyword] !== undefined)
        this.reading.refuse(join(path, keyword), 'cannot be enforced');
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

  #alternatives(
    schema: RawSchema,
    keyword: 'anyOf' | 'oneOf',
    path: string,
    depth: number,
  ): RawSchema {
    const { [keyword]: branches, ...rest } = schema;
    const at = join(path, keyword);
    if (!Array.isArray(branches) || branches.length === 0) {
      this.reading.refuse(at, 'must be an array of schemas, and not empty');
      return {};
    }
    this.reading.countAlternatives(branches, at);
    const siblings = restrictions(rest);
    const nodes = branches.map((branch, index) => {
      const where = `${at}[${index}]`;
      const merged =
        Object.keys(siblings).length === 0 ? branch : this.#merge([siblings, branch], where);
      return this.node(merged, where, depth + 1);
    });
    if (keyword === 'oneOf' && !excludeEachOther(nodes, this.#definitions, this.#untyped)) {
      this.reading.refuse(
        at,
        'can be enforced only where no value can match two of its schemas; use `anyOf`',
      );
    }
    return nodes.length === 1 ? (nodes[0] as RawSchema) : { anyOf: nodes };
  }

  #allOf(schema: RawSchema, path: string, depth: number): RawSchema {
    const { allOf: members, ...rest } = schema;
    const at = join(path, 'allOf');
    if (!Array.isArray(members) || members.length === 0) {
      this.reading.refuse(at, 'must be an array of schemas, and not empty');
      return {};
    }
    const siblings = restrictions(rest);
    const parts = Object.keys(siblings).length === 0 ? members : [siblings, ...members];
    if (parts.length === 1) return this.node(parts[0], `${at}[0]`, depth + 1);
    return this.node(this.#merge(parts, at), at, depth + 1);
  }

  #merge(parts: readonly unknown[], path: string): RawSchema {
    try {
      return mergeSchemas(parts, (reference) => resolveReference(this.#root, reference, path));
    } catch (error) {
      if (!(error instanceof GrammarProblem)) throw error;
      this.reading.refuse(error.path === '' ? path : error.path, error.message);
      return {};
    }
  }

  #ref(schema: RawSchema, path: string, depth: number): RawSchema {
    const { $ref: reference, ...rest } = schema;
    const at = join(path, '$ref');
    const siblings = restrictions(rest);
    if (Object.keys(siblings).length > 0) {
      return this.node(this.#merge([siblings, { $ref: reference }], at), path, depth + 1);
    }
    let target: unknown;
    try {
      target = resolveReference(this.#root, reference, at);
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
      this.#definitions.set(name, { path: at, schema: this.node(target, at, depth + 1) });
    }
    return { $ref: `#/$defs/${name}` };
  }
}
