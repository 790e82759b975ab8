/**
 * JSON schemas in the form that llama.cpp's converter enforces to the letter. The converter leaves out
 * what it does not know, and gets some of what it knows wrong; here a schema is rewritten to one that
 * allows no value the original forbids, or refused. Where llama.cpp can enforce only a part of what a
 * schema allows, that part is what the model may write: no properties beside the listed ones, say.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { maxRepetition } from './grammar-node.ts';
import { type JsonPattern, patternOfLength, readPattern } from './pattern.ts';
import { GrammarProblem } from './problem.ts';
import { mergeSchemas, type RawSchema } from './schema-merge.ts';
import { checkRecursion, type Definitions, excludeEachOther } from './schema-shape.ts';
import { formatPatterns } from './string-formats.ts';

/** What a schema may come to at most, so that conversion and sampling stay short. */
export const schemaLimits = {
  /** Characters of the schema as JSON. */
  size: 131_072,
  /** Levels of schemas in each other. */
  depth: 32,
  /** Schemas, all levels together, `$ref` targets counted once. */
  schemas: 1000,
  /** Properties of one object that are not required: their rules grow with the square of them. */
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
  /** Characters of all patterns together: each is read closely. */
  patternLength: 8192,
  /** Repetitions of all lengths, items and patterns together. */
  repetitions: 10_000,
} as const;

/** Integers are written with at most so many digits. */
const maxInteger = 999_999_999_999_999;

/** A schema for llama.cpp's converter. */
export interface EnforceableSchema {
  readonly schema: RawSchema;
  /** Whether it differs from the original in more than annotations. */
  readonly changed: boolean;
}

/**
 * Keywords that say nothing about which values are valid. Content keywords are among them by the
 * standard; `discriminator` only names what `oneOf` says.
 */
const annotations: ReadonlySet<string> = new Set([
  ...[
    'title',
    'description',
    'default',
    'examples',
    'example',
    'deprecated',
    'readOnly',
    'writeOnly',
  ],
  ...[
    '$schema',
    '$comment',
    '$anchor',
    '$vocabulary',
    '$defs',
    'definitions',
    'discriminator',
    'xml',
  ],
  ...['contentEncoding', 'contentMediaType', 'contentSchema', 'externalDocs'],
]);

/** Keywords with a part of their own below; all others that restrict are refused. */
const typeKeywords: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties', 'unevaluatedProperties'],
  array: ['items', 'prefixItems', 'additionalItems', 'unevaluatedItems', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
};
const refusedTypeKeywords: Readonly<Record<string, readonly string[]>> = {
  object: [
    'patternProperties',
    'propertyNames',
    'dependencies',
    'dependentRequired',
    'dependentSchemas',
  ],
  array: ['contains', 'minContains', 'maxContains'],
  string: [],
  number: [],
};
const refusedKeywords = ['not', 'if', 'then', 'else', '$dynamicRef', '$recursiveRef'] as const;

const typeNames = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
type TypeName = (typeof typeNames)[number];

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
  readonly #mode: 'strict' | 'relaxed';
  /** By pointer; the name of a target that is being read is known already. */
  readonly #names = new Map<string, string>();
  readonly #definitions: Definitions = new Map();
  /** Rewritten schemas whose originals also allow every value of other types. */
  readonly #untyped = new WeakSet<RawSchema>();
  /** In no property's name, so that llama.cpp's rules for properties and definitions never meet. */
  readonly #stem: string;
  #schemaCount = 0;
  #enumCount = 0;
  #enumLength = 0;
  #repetitions = 0;
  #patternLength = 0;
  #changed = false;

  constructor(root: RawSchema, mode: 'strict' | 'relaxed') {
    this.#root = root;
    this.#mode = mode;
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
    if (this.#definitions.size === 0) return { schema: root, changed: this.#changed };
    const definitions = [...this.#definitions].map(([name, { schema }]) => [name, schema]);
    return { schema: { ...root, $defs: Object.fromEntries(definitions) }, changed: true };
  }

  /** To llama.cpp a schema without keywords is none. What is relaxed are arguments: an object. */
  #anyRoot(): RawSchema {
    this.#changed = true;
    return this.#mode === 'strict' ? { anyOf: anyValue } : { type: 'object' };
  }

  /** Refuses, or in a relaxed schema goes on without. */
  #refuse(path: string, reason: string): void {
    if (this.#mode === 'strict') throw new GrammarProblem(path, reason);
    this.#changed = true;
  }

  #node(raw: unknown, path: string, depth: number): RawSchema {
    this.#schemaCount += 1;
    if (this.#schemaCount > schemaLimits.schemas) {
      throw new GrammarProblem('', `has more than ${schemaLimits.schemas} schemas in it`);
    }
    if (depth > schemaLimits.depth) {
      throw new GrammarProblem(path, `is more than ${schemaLimits.depth} levels deep`);
    }
    if (raw === true) return {};
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
      this.#refuse(path, raw === false ? 'allows no value' : 'must be a schema');
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
    if (![...keys].every(same)) this.#changed = true;
  }

  #read(schema: RawSchema, path: string, depth: number): RawSchema {
    for (const keyword of refusedKeywords) {
      if (schema[keyword] !== undefined) this.#refuse(join(path, keyword), 'cannot be enforced');
    }
    if (schema.$id !== undefined && depth > 0) {
      this.#refuse(join(path, '$id'), 'is supported at the top only');
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
      this.#refuse(join(path, 'type'), `must be of ${typeNames.join(', ')}`);
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
      if (schema[keyword] !== undefined) this.#refuse(join(path, keyword), 'cannot be enforced');
    }
    switch (type) {
      case 'object':
        return this.#object(schema, path, depth);
      case 'array':
        return this.#array(schema, path, depth);
      case 'string':
        return this.#string(schema, path);
      case 'number':
      case 'integer':
        return this.#number(schema, type, path);
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
      this.#refuse(join(path, keyword), 'cannot be enforced');
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
      this.#refuse(at, 'must be an object of schemas');
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
        this.#changed = true;
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
      this.#refuse(at, 'must be an array of names');
      return [];
    }
    const names = [...new Set(raw as string[])];
    for (const name of names) {
      if (Object.hasOwn(properties, name)) continue;
      const additional = schema.additionalProperties ?? true;
      if (additional === false || name.length > schemaLimits.nameLength) {
        this.#refuse(at, `names \`${name.slice(0, 40)}\`, which no property allows`);
        continue;
      }
      properties[name] = this.#node(additional, join(path, 'additionalProperties'), depth + 1);
      this.#changed = true;
    }
    return names.filter((name) => Object.hasOwn(properties, name));
  }

  #array(schema: RawSchema, path: string, depth: number): RawSchema {
    if (schema.uniqueItems === true) this.#refuse(join(path, 'uniqueItems'), 'cannot be enforced');
    const min = this.#count(schema, 'minItems', schemaLimits.items, path);
    const max = this.#count(schema, 'maxItems', schemaLimits.items, path);
    if (max !== undefined && (min ?? 0) > max) {
      this.#refuse(join(path, 'minItems'), 'is more than `maxItems`');
      return { type: 'array' };
    }
    const keyword = Array.isArray(schema.items) ? 'items' : 'prefixItems';
    const tuple = schema[keyword];
    if (Array.isArray(tuple)) {
      if ((min ?? 0) > tuple.length || (max ?? tuple.length) < tuple.length) {
        this.#refuse(
          join(path, (min ?? 0) > tuple.length ? 'minItems' : 'maxItems'),
          `must allow as many items as \`${keyword}\` has: only those are written`,
        );
      }
      const items = tuple.map((item, index) =>
        this.#node(item, `${join(path, keyword)}[${index}]`, depth + 1),
      );
      return { type: 'array', prefixItems: items };
    }
    if (tuple !== undefined) this.#refuse(join(path, keyword), 'must be an array of schemas');
    if (schema.items === false) {
      if ((min ?? 0) > 0)
        this.#refuse(join(path, 'minItems'), 'asks for items that `items` forbids');
      return { type: 'array', items: {}, maxItems: 0 };
    }
    this.#spend((max ?? min ?? 0) * 2, path);
    return {
      type: 'array',
      ...(schema.items !== undefined && {
        items: this.#node(schema.items, join(path, 'items'), depth + 1),
      }),
      ...(min !== undefined && { minItems: min }),
      ...(max !== undefined && { maxItems: max }),
    };
  }

  #string(schema: RawSchema, path: string): RawSchema {
    const min = this.#count(schema, 'minLength', schemaLimits.length, path);
    const max = this.#count(schema, 'maxLength', schemaLimits.length, path);
    if (max !== undefined && (min ?? 0) > max) {
      this.#refuse(join(path, 'minLength'), 'is more than `maxLength`');
      return { type: 'string' };
    }
    const shape = this.#shape(schema, path);
    if (shape === undefined) {
      if ((min ?? 0) === 0 && max === undefined) return { type: 'string' };
      return this.#pattern(patternOfLength(min ?? 0, max ?? Number.POSITIVE_INFINITY), path);
    }
    if (shape.minLength < (min ?? 0)) {
      this.#refuse(join(path, 'minLength'), 'cannot be enforced beside a pattern that allows less');
    }
    if (shape.maxLength > (max ?? Number.POSITIVE_INFINITY)) {
      this.#refuse(join(path, 'maxLength'), 'cannot be enforced beside a pattern that allows more');
    }
    return this.#pattern(shape, path);
  }

  #pattern({ source, cost }: JsonPattern, path: string): RawSchema {
    this.#spend(cost, path);
    this.#changed = true;
    return { type: 'string', pattern: source };
  }

  /** What `pattern` or `format` allow; undefined: any string. */
  #shape(schema: RawSchema, path: string): JsonPattern | undefined {
    const { pattern, format } = schema;
    if (pattern !== undefined) {
      if (format !== undefined) {
        this.#refuse(join(path, 'format'), 'cannot be enforced beside `pattern`');
      }
      return this.#readPattern(pattern, join(path, 'pattern'));
    }
    if (format === undefined) return undefined;
    const source = typeof format === 'string' ? formatPatterns.get(format) : undefined;
    if (source !== undefined) return this.#readPattern(source, join(path, 'format'));
    const known = [...formatPatterns.keys()].map((name) => `\`${name}\``).join(', ');
    this.#refuse(join(path, 'format'), `can be enforced only for ${known}`);
    return undefined;
  }

  #readPattern(pattern: unknown, path: string): JsonPattern | undefined {
    if (typeof pattern !== 'string' || pattern.length > 1000) {
      this.#refuse(path, 'must be a string of at most 1000 characters');
      return undefined;
    }
    this.#patternLength += pattern.length;
    if (this.#patternLength > schemaLimits.patternLength) {
      throw new GrammarProblem(
        path,
        `exceeds ${schemaLimits.patternLength} characters of patterns in the whole schema`,
      );
    }
    try {
      return readPattern(pattern);
    } catch (error) {
      this.#refuse(path, error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  #number(schema: RawSchema, type: 'number' | 'integer', path: string): RawSchema {
    const { multipleOf } = schema;
    const isInteger = type === 'integer' || multipleOf === 1;
    if (multipleOf !== undefined && multipleOf !== 1) {
      this.#refuse(join(path, 'multipleOf'), 'cannot be enforced');
    }
    const bound = (keyword: string, isUpper: boolean, step: number): number[] => {
      const value = schema[keyword];
      if (value === undefined) return [];
      const at = join(path, keyword);
      if (!isInteger) {
        this.#refuse(at, 'can be enforced for integers only');
        return [];
      }
      if (typeof value !== 'number' || !(Math.abs(value) <= maxInteger)) {
        this.#refuse(at, `must be a number between -${maxInteger} and ${maxInteger}`);
        return [];
      }
      if (step === 0) return [isUpper ? Math.floor(value) : Math.ceil(value)];
      return [isUpper ? Math.ceil(value) - step : Math.floor(value) + step];
    };
    const lows = [...bound('minimum', false, 0), ...bound('exclusiveMinimum', false, 1)];
    const highs = [...bound('maximum', true, 0), ...bound('exclusiveMaximum', true, 1)];
    if (!isInteger) return { type: 'number' };
    if (lows.length + highs.length === 0) return { type: 'integer' };
    // With one bound alone llama.cpp lets numbers of fewer digits through.
    const minimum = Math.max(-maxInteger, ...lows) + 0;
    const maximum = Math.min(maxInteger, ...highs) + 0;
    if (minimum > maximum) {
      this.#refuse(join(path, 'minimum'), 'leaves no integer');
      return { type: 'integer' };
    }
    return { type: 'integer', minimum, maximum };
  }

  /** `const` and `enum`; a `type` beside them takes values away. */
  #values(schema: RawSchema, types: readonly TypeName[] | undefined, path: string): RawSchema {
    const keyword = schema.const === undefined ? 'enum' : 'const';
    const at = join(path, keyword);
    const listed = keyword === 'const' ? [schema.const] : schema.enum;
    if (!Array.isArray(listed)) {
      this.#refuse(at, 'must be an array');
      return {};
    }
    const fits = (value: unknown) =>
      (types === undefined || types.some((type) => hasType(value, type))) &&
      (keyword === 'enum' || schema.enum === undefined || includes(schema.enum, value));
    const values = listed.filter(fits);
    this.#enumCount += values.length;
    this.#enumLength += JSON.stringify(values).length;
    if (this.#enumCount > schemaLimits.enumValues) {
      throw new GrammarProblem(at, `exceeds ${schemaLimits.enumValues} values in the whole schema`);
    }
    if (this.#enumLength > schemaLimits.enumLength) {
      throw new GrammarProblem(
        at,
        `exceeds ${schemaLimits.enumLength} characters in the whole schema`,
      );
    }
    checkAlternatives(values, at);
    if (values.length === 0) {
      this.#refuse(at, 'allows no value');
      return {};
    }
    const restricting = Object.keys(schema).find((key) =>
      Object.values(typeKeywords).some((keywords) => keywords.includes(key)),
    );
    if (restricting !== undefined) {
      this.#refuse(join(path, restricting), `cannot be enforced beside \`${keyword}\``);
    }
    return keyword === 'const' ? { const: values[0] } : { enum: values };
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
      this.#refuse(at, 'must be an array of schemas, and not empty');
      return {};
    }
    checkAlternatives(branches, at);
    const siblings = restrictions(rest);
    const nodes = branches.map((branch, index) => {
      const where = `${at}[${index}]`;
      const merged =
        Object.keys(siblings).length === 0 ? branch : this.#merge([siblings, branch], where);
      return this.#node(merged, where, depth + 1);
    });
    if (keyword === 'oneOf' && !excludeEachOther(nodes, this.#definitions, this.#untyped)) {
      this.#refuse(
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
      this.#refuse(at, 'must be an array of schemas, and not empty');
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
      this.#refuse(error.path === '' ? path : error.path, error.message);
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
      this.#refuse(error.path, error.message);
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

  #count(schema: RawSchema, keyword: string, limit: number, path: string): number | undefined {
    const value = schema[keyword];
    if (value === undefined) return undefined;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= limit) {
      return value;
    }
    this.#refuse(join(path, keyword), `must be an integer between 0 and ${limit}`);
    return undefined;
  }

  #spend(repetitions: number, path: string): void {
    this.#repetitions += repetitions;
    if (this.#repetitions <= schemaLimits.repetitions) return;
    throw new GrammarProblem(
      path,
      `exceeds ${schemaLimits.repetitions} repetitions, of characters and items, in the whole schema`,
    );
  }
}

function checkAlternatives(alternatives: readonly unknown[], path: string): void {
  if (alternatives.length <= schemaLimits.alternatives) return;
  throw new GrammarProblem(path, `has more than ${schemaLimits.alternatives} alternatives`);
}

/** The keywords that restrict: what is left decides whether there is anything to merge. */
function restrictions(schema: RawSchema): RawSchema {
  const known = new Set<string>([
    ...['type', 'nullable', 'enum', 'const', '$ref', 'allOf', 'anyOf', 'oneOf'],
    ...Object.values(typeKeywords).flat(),
    ...Object.values(refusedTypeKeywords).flat(),
    ...refusedKeywords,
    ...['minProperties', 'maxProperties', 'uniqueItems'],
  ]);
  return Object.fromEntries(Object.entries(schema).filter(([key]) => known.has(key)));
}

function isClosed(schema: RawSchema): boolean {
  return schema.additionalProperties === false || schema.unevaluatedProperties === false;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function includes(list: unknown, value: unknown): boolean {
  return Array.isArray(list) && list.some((each) => isDeepStrictEqual(each, value));
}

function hasType(value: unknown, type: TypeName): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isRecord(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
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

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}
