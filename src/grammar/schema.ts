/**
 * JSON schemas in the form that llama.cpp's converter enforces to the letter. The converter leaves out
 * what it does not know, and gets some of what it knows wrong; here a schema is rewritten to one that
 * allows no value the original forbids, or refused. Where llama.cpp can enforce only a part of what a
 * schema allows, that part is what the model may write: no properties beside the listed ones, say.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { GrammarProblem } from './problem.ts';
import {
  annotations,
  hasType,
  isClosed,
  isRecord,
  join,
  refusedKeywords,
  refusedTypeKeywords,
  restrictions,
  type TypeName,
  typeKeywords,
  typeNames,
} from './schema-keywords.ts';
import { mergeSchemas, type RawSchema } from './schema-merge.ts';
import { SchemaReading, schemaLimits } from './schema-reading.ts';
import { readCount, readNumber, readString } from './schema-scalars.ts';
import { checkRecursion, type Definitions, excludeEachOther } from './schema-shape.ts';

/** A schema for llama.cpp's converter. */
export interface EnforceableSchema {
  readonly schema: RawSchema;
  /** Whether it differs from the original in more than annotations. */
  readonly changed: boolean;
}

/**
 * @throws {GrammarProblem} with the path of the first keyword that cannot be enforced
 */
export function enforceableSchema(schema: object): EnforceableSchema {
  return new SchemaReader(schema as RawSchema, 'strict').read();
}

/**
 * The same without what cannot be enforced, for schemas that the model is shown and need not follow to
 * the letter. One that is too large comes to any object.
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

class SchemaReader {
  readonly #root: RawSchema;
  readonly #reading: SchemaReading;
  /** By pointer; the name of a target that is being read is known already. */
  readonly #names = new Map<string, string>();
  readonly #definitions: Definitions = new Map();
  /** Rewritten schemas whose originals also allow every value of other types. */
  readonly #untyped = new WeakSet<RawSchema>();
  /** In no property's name, so that llama.cpp's rules for properties and definitions never meet. */
  readonly #stem: string;

  constructor(root: RawSchema, mode: 'strict' | 'relaxed') {
    this.#root = root;
    this.#reading = new SchemaReading(mode);
    const text = JSON.stringify(root);
    if (text.length > schemaLimits.size) {
      throw new GrammarProblem('', `has more than ${schemaLimits.size} characters`);
    }
    this.#stem = createHash('sha256').update(text).digest('hex').slice(0, 12);
  }

  read(): EnforceableSchema {
    const node = this.#node(this.#root, '', 0);
    const root = Object.keys(node).length > 0 ? node : this.#anyRoot();
    checkRecursion(root, this.#definitions);
    if (this.#definitions.size === 0) return { schema: root, changed: this.#reading.changed };
    const definitions = [...this.#definitions].map(([name, { schema }]) => [name, schema]);
    return { schema: { ...root, $defs: Object.fromEntries(definitions) }, changed: true };
  }

  /** To llama.cpp a schema without keywords is none. What is relaxed are arguments: an object. */
  #anyRoot(): RawSchema {
    this.#reading.changed = true;
    return this.#reading.mode === 'strict' ? { anyOf: anyValue } : { type: 'object' };
  }

  #node(raw: unknown, path: string, depth: number): RawSchema {
    this.#reading.countSchema(path, depth);
    if (raw === true) return {};
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
      this.#reading.refuse(path, raw === false ? 'allows no value' : 'must be a schema');
      return {};
    }
    const schema = raw as RawSchema;
    const node = this.#read(schema, path, depth);
    this.#noteChange(schema, node);
    return node;
  }

  /** Schemas within are noted where they are read. */
  #noteChange(from: RawSchema, to: RawSchema): void {
    const containers = ['properties', 'items', 'prefixItems', 'additionalProperties', 'anyOf'];
    const constrains = (schema: RawSchema) =>
      Object.entries(schema).filter(([key, value]) => !annotations.has(key) && value !== undefined);
    const same = (key: string) =>
      containers.includes(key) && typeof from[key] === 'object'
        ? typeof to[key] === 'object'
        : isDeepStrictEqual(from[key], to[key]);
    const keys = new Set([...constrains(from), ...constrains(to)].map(([key]) => key));
    if (![...keys].every(same)) this.#reading.changed = true;
  }

  #read(schema: RawSchema, path: string, depth: number): RawSchema {
    for (const keyword of refusedKeywords) {
      if (schema[keyword] !== undefined)
        this.#reading.refuse(join(path, keyword), 'cannot be enforced');
    }
    if (schema.$id !== undefined && depth > 0) {
      this.#reading.refuse(join(path, '$id'), 'is supported at the top only');
    }
    if (schema.allOf !== undefined) return this.#allOf(schema, path, depth);
    if (schema.$ref !== undefined) return this.#ref(schema, path, depth);
    for (const keyword of ['anyOf', 'oneOf'] as const) {
      if (schema[keyword] !== undefined) return this.#alternatives(schema, keyword, path, depth);
    }
    const types = this.#types(schema, path);
    if (schema.const !== undefined || schema.enum !== undefined) {
      return this.#values(schema, types, path);
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

  /** Undefined: any value. Without `type`, the type that the other keywords are about. */
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
      this.#reading.refuse(join(path, 'type'), `must be of ${typeNames.join(', ')}`);
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
        this.#reading.refuse(join(path, keyword), 'cannot be enforced');
    }
    switch (type) {
      case 'object':
        return this.#object(schema, path, depth);
      case 'array':
        return this.#array(schema, path, depth);
      case 'string':
        return readString(schema, path, this.#reading);
      case 'number':
      case 'integer':
        return readNumber(schema, type, path, this.#reading);
      default:
        return { type };
    }
  }

  #object(schema: RawSchema, path: string, depth: number): RawSchema {
    const properties = this.#properties(schema, path, depth);
    const required = this.#required(schema, properties, path, depth);
    const optionalCount = Object.keys(properties).length - required.length;
    if (optionalCount > schemaLimits.optionalProperties) {
      throw new GrammarProblem(
        join(path, 'properties'),
        `has ${optionalCount} properties that are not required, at most ${schemaLimits.optionalProperties} can be enforced`,
      );
    }
    const isListed = schema.properties !== undefined || required.length > 0;
    for (const [keyword, holds] of [
      ['minProperties', (count: number) => required.length >= count],
      ['maxProperties', (count: number) => Object.keys(properties).length <= count],
    ] as const) {
      const count = schema[keyword];
      const isBounded = isListed || isClosed(schema);
      if (count === undefined || (typeof count === 'number' && isBounded && holds(count))) continue;
      this.#reading.refuse(join(path, keyword), 'cannot be enforced');
    }
    const listed = {
      ...(isListed && { properties }),
      ...(required.length > 0 && { required }),
    };
    if (isListed || isClosed(schema)) {
      // llama.cpp's names of further properties may be ill-formed, or be listed ones in disguise.
      const isSaid = isClosed(schema) || schema.additionalProperties !== undefined;
      return { type: 'object', ...listed, ...(isSaid && { additionalProperties: false }) };
    }
    const additional = schema.additionalProperties;
    if (typeof additional !== 'object') return { type: 'object' };
    return {
      type: 'object',
      additionalProperties: this.#node(additional, join(path, 'additionalProperties'), depth + 1),
    };
  }

  #properties(schema: RawSchema, path: string, depth: number): Record<string, RawSchema> {
    const raw = schema.properties ?? {};
    const at = join(path, 'properties');
    if (!isRecord(raw)) {
      this.#reading.refuse(at, 'must be an object of schemas');
      return {};
    }
    const required = Array.isArray(schema.required) ? schema.required : [];
    const entries: [string, RawSchema][] = [];
    for (const [name, property] of Object.entries(raw)) {
      if (name.length > schemaLimits.nameLength) {
        throw new GrammarProblem(
          at,
          `has a name of more than ${schemaLimits.nameLength} characters`,
        );
      }
      // A property that allows no value is one that may not be there.
      if (property === false && !required.includes(name)) {
        this.#reading.changed = true;
        continue;
      }
      entries.push([name, this.#node(property, join(at, name), depth + 1)]);
    }
    return Object.fromEntries(entries);
  }

  /** Names that are not listed are added to `properties`. */
  #required(
    schema: RawSchema,
    properties: Record<string, RawSchema>,
    path: string,
    depth: number,
  ): string[] {
    const raw = schema.required;
    if (raw === undefined) return [];
    const at = join(path, 'required');
    if (!Array.isArray(raw) || !raw.every((name) => typeof name === 'string')) {
      this.#reading.refuse(at, 'must be an array of names');
      return [];
    }
    const names = [...new Set(raw as string[])];
    for (const name of names) {
      if (Object.hasOwn(properties, name)) continue;
      const additional = schema.additionalProperties ?? true;
      if (additional === false || name.length > schemaLimits.nameLength) {
        this.#reading.refuse(at, `names \`${name.slice(0, 40)}\`, which no property allows`);
        continue;
      }
      properties[name] = this.#node(additional, join(path, 'additionalProperties'), depth + 1);
      this.#reading.changed = true;
    }
    return names.filter((name) => Object.hasOwn(properties, name));
  }

  #array(schema: RawSchema, path: string, depth: number): RawSchema {
    if (schema.uniqueItems === true)
      this.#reading.refuse(join(path, 'uniqueItems'), 'cannot be enforced');
    const min = readCount(schema, 'minItems', {
      limit: schemaLimits.items,
      path,
      reading: this.#reading,
    });
    const max = readCount(schema, 'maxItems', {
      limit: schemaLimits.items,
      path,
      reading: this.#reading,
    });
    if (max !== undefined && (min ?? 0) > max) {
      this.#reading.refuse(join(path, 'minItems'), 'is more than `maxItems`');
      return { type: 'array' };
    }
    const keyword = Array.isArray(schema.items) ? 'items' : 'prefixItems';
    const tuple = schema[keyword];
    if (Array.isArray(tuple)) {
      if ((min ?? 0) > tuple.length || (max ?? tuple.length) < tuple.length) {
        this.#reading.refuse(
          join(path, (min ?? 0) > tuple.length ? 'minItems' : 'maxItems'),
          `must allow as many items as \`${keyword}\` has: only those are written`,
        );
      }
      const items = tuple.map((item, index) =>
        this.#node(item, `${join(path, keyword)}[${index}]`, depth + 1),
      );
      return { type: 'array', prefixItems: items };
    }
    if (tuple !== undefined)
      this.#reading.refuse(join(path, keyword), 'must be an array of schemas');
    if (schema.items === false) {
      if ((min ?? 0) > 0)
        this.#reading.refuse(join(path, 'minItems'), 'asks for items that `items` forbids');
      return { type: 'array', items: {}, maxItems: 0 };
    }
    this.#reading.countRepetitions((max ?? min ?? 0) * 2, path);
    return {
      type: 'array',
      ...(schema.items !== undefined && {
        items: this.#node(schema.items, join(path, 'items'), depth + 1),
      }),
      ...(min !== undefined && { minItems: min }),
      ...(max !== undefined && { maxItems: max }),
    };
  }

  /** `const` and `enum`; a `type` beside them takes values away. */
  #values(schema: RawSchema, types: readonly TypeName[] | undefined, path: string): RawSchema {
    const keyword = schema.const === undefined ? 'enum' : 'const';
    const at = join(path, keyword);
    const listed = keyword === 'const' ? [schema.const] : schema.enum;
    if (!Array.isArray(listed)) {
      this.#reading.refuse(at, 'must be an array');
      return {};
    }
    const fits = (value: unknown) =>
      (types === undefined || types.some((type) => hasType(value, type))) &&
      (keyword === 'enum' || schema.enum === undefined || includes(schema.enum, value));
    const values = listed.filter(fits);
    this.#reading.countValues(values, at);
    if (values.length === 0) {
      this.#reading.refuse(at, 'allows no value');
      return {};
    }
    const restricting = Object.keys(schema).find((key) =>
      Object.values(typeKeywords).some((keywords) => keywords.includes(key)),
    );
    if (restricting !== undefined) {
      this.#reading.refuse(join(path, restricting), `cannot be enforced beside \`${keyword}\``);
    }
    // Templates that show a schema look for its type.
    const isOfType = types?.length === 1 && typeof schema.type === 'string';
    const type = isOfType && { type: schema.type };
    return { ...type, ...(keyword === 'const' ? { const: values[0] } : { enum: values }) };
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
      this.#reading.refuse(at, 'must be an array of schemas, and not empty');
      return {};
    }
    this.#reading.countAlternatives(branches, at);
    const siblings = restrictions(rest);
    const nodes = branches.map((branch, index) => {
      const where = `${at}[${index}]`;
      const merged =
        Object.keys(siblings).length === 0 ? branch : this.#merge([siblings, branch], where);
      return this.#node(merged, where, depth + 1);
    });
    if (keyword === 'oneOf' && !excludeEachOther(nodes, this.#definitions, this.#untyped)) {
      this.#reading.refuse(
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
      this.#reading.refuse(at, 'must be an array of schemas, and not empty');
      return {};
    }
    const siblings = restrictions(rest);
    const parts = Object.keys(siblings).length === 0 ? members : [siblings, ...members];
    if (parts.length === 1) return this.#node(parts[0], `${at}[0]`, depth + 1);
    return this.#node(this.#merge(parts, at), at, depth + 1);
  }

  #merge(parts: readonly unknown[], path: string): RawSchema {
    try {
      return mergeSchemas(parts, (reference) => this.#resolve(reference, path));
    } catch (error) {
      if (!(error instanceof GrammarProblem)) throw error;
      this.#reading.refuse(error.path === '' ? path : error.path, error.message);
      return {};
    }
  }

  #ref(schema: RawSchema, path: string, depth: number): RawSchema {
    const { $ref: reference, ...rest } = schema;
    const at = join(path, '$ref');
    const siblings = restrictions(rest);
    if (Object.keys(siblings).length > 0) {
      return this.#node(this.#merge([siblings, { $ref: reference }], at), path, depth + 1);
    }
    let target: unknown;
    try {
      target = this.#resolve(reference, at);
    } catch (error) {
      if (!(error instanceof GrammarProblem)) throw error;
      this.#reading.refuse(error.path, error.message);
      return {};
    }
    const pointer = String(reference);
    let name = this.#names.get(pointer);
    if (name === undefined) {
      name = `${this.#stem}${this.#names.size}x`;
      this.#names.set(pointer, name);
      this.#definitions.set(name, { path: at, schema: this.#node(target, at, depth + 1) });
    }
    return { $ref: `#/$defs/${name}` };
  }

  #resolve(reference: unknown, path: string): unknown {
    if (typeof reference !== 'string' || !(reference === '#' || reference.startsWith('#/'))) {
      throw new GrammarProblem(path, 'can only point into the same schema, as in `#/$defs/name`');
    }
    let target: unknown = this.#root;
    for (const part of reference.split('/').slice(1)) {
      const key = decodePointer(part);
      const found: unknown =
        typeof target === 'object' && target !== null && Object.hasOwn(target, key)
          ? (target as Record<string, unknown>)[key]
          : undefined;
      if (found === undefined) {
        throw new GrammarProblem(
          path,
          `points at \`${reference.slice(0, 80)}\`, which is not there`,
        );
      }
      target = found;
    }
    return target;
  }
}

function includes(list: unknown, value: unknown): boolean {
  return Array.isArray(list) && list.some((each) => isDeepStrictEqual(each, value));
}

function decodePointer(part: string): string {
  let text = part;
  try {
    text = decodeURIComponent(part);
  } catch {
    // Not encoded; a percent sign of its own.
  }
  return text.replaceAll('~1', '/').replaceAll('~0', '~');
}
