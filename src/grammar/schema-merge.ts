import { isDeepStrictEqual } from 'node:util';
import { patternMatches } from './pattern-match.ts';
import { GrammarProblem } from './problem.ts';

/** An unchecked JSON schema; values are checked where they are used. */
export type RawSchema = Readonly<Record<string, unknown>>;

/** Several values of a keyword that all apply, where one value cannot say so. No request contains it. */
export class Every {
  readonly all: readonly unknown[];

  constructor(all: readonly unknown[]) {
    this.all = all;
  }

  /** The values of a keyword; none where it is absent. */
  static values(value: unknown): readonly unknown[] {
    if (value === undefined) return [];
    return value instanceof Every ? value.all : [value];
  }

  static of(values: readonly unknown[]): unknown {
    return values.length === 1 ? values[0] : new Every(values);
  }
}

/** Parts that exclude each other: no value matches all of them. */
export class Contradiction extends GrammarProblem {}

/** Maximum parts: references may be circular, or double at each step. */
const maxParts = 256;

const objectKeywords = ['properties', 'patternProperties', 'additionalProperties'] as const;

/**
 * One schema that is equivalent to all of `parts` together.
 * @param resolve - returns the target of a `$ref`; throws when there is none
 * @throws {Contradiction} when no value matches two of the parts
 * @throws {GrammarProblem} when one schema cannot express two of the parts
 */
export function mergeSchemas(
  parts: readonly unknown[],
  resolve: (reference: unknown) => unknown,
): RawSchema {
  const flat: RawSchema[] = [];
  const open = [...parts];
  for (let count = 0; open.length > 0; count++) {
    if (count > maxParts)
      throw new GrammarProblem('', 'has too many parts, or references in a circle');
    const { constraints, inner } = split(open.shift(), resolve);
    if (Object.keys(constraints).length > 0) flat.push(constraints);
    open.unshift(...inner);
  }
  const merged: Record<string, unknown> = {};
  const isOfObject = (keyword: string) => (objectKeywords as readonly string[]).includes(keyword);
  for (const part of flat) {
    for (const [keyword, value] of Object.entries(part)) {
      if (isOfObject(keyword)) continue;
      merged[keyword] =
        merged[keyword] === undefined ? value : combine(keyword, merged[keyword], value);
    }
  }
  const objects = flat.filter((part) => objectKeywords.some((each) => part[each] !== undefined));
  return { ...merged, ...mergeObjects(objects, merged.required) };
}

/** The constraints of a part itself, and the parts it refers to. */
function split(
  part: unknown,
  resolve: (reference: unknown) => unknown,
): { readonly constraints: RawSchema; readonly inner: readonly unknown[] } {
  if (part === true) return { constraints: {}, inner: [] };
  if (part === false) throw new Contradiction('', 'has a part that allows no value');
  if (typeof part !== 'object' || part === null || Array.isArray(part)) {
    throw new GrammarProblem('', 'has a part that is not a schema');
  }
  const { $ref: reference, allOf: members, ...rest } = part as RawSchema;
  return {
    constraints: Object.fromEntries(
      Object.entries(rest).filter(
        ([keyword, value]) =>
          !isNote(keyword) && value !== undefined && (value !== null || keyword === 'const'),
      ),
    ),
    inner: [
      ...(reference == null ? [] : [resolve(reference)]),
      ...(Array.isArray(members) ? members : []),
    ],
  };
}

function isNote(keyword: string): boolean {
  return [
    'title',
    'description',
    'default',
    'examples',
    '$defs',
    'definitions',
    '$comment',
  ].includes(keyword);
}

/** The properties of all parts. A name is under the schemas that each part has for it. */
function mergeObjects(parts: readonly RawSchema[], required: unknown): RawSchema {
  if (parts.length < 2) {
    const [only = {}] = parts;
    return Object.fromEntries(
      objectKeywords.filter((each) => only[each] !== undefined).map((each) => [each, only[each]]),
    );
  }
  const names = new Set(parts.flatMap((part) => Object.keys(recordOf(part.properties))));
  const needed = new Set(Array.isArray(required) ? required : []);
  const schemasOf = (name: string) => parts.flatMap((part) => schemasFor(part, name));
  // Writers of closed parts that need each other's properties mean to close the whole.
  const closesWhole = [...names].some(
    (name) => needed.has(name) && schemasOf(name).includes(false),
  );
  const properties = [...names].map((name) => {
    const schemas = schemasOf(name).filter((each) => !(closesWhole && each === false));
    return [name, bothOf(schemas)] as const;
  });
  const patterns: Record<string, unknown> = {};
  for (const part of parts) {
    for (const [pattern, schema] of Object.entries(recordOf(part.patternProperties))) {
      patterns[pattern] = bothOf(pattern in patterns ? [patterns[pattern], schema] : [schema]);
    }
  }
  const additional = parts
    .map((part) => part.additionalProperties)
    .filter((each) => each !== undefined && each !== true);
  return {
    ...(names.size > 0 && { properties: Object.fromEntries(properties) }),
    ...(Object.keys(patterns).length > 0 && { patternProperties: patterns }),
    ...(additional.length > 0 && { additionalProperties: bothOf(additional) }),
  };
}

/** What one part says of a property, apart from its patterns, which stay with the whole. */
function schemasFor(part: RawSchema, name: string): unknown[] {
  const properties = recordOf(part.properties);
  if (Object.hasOwn(properties, name)) return [properties[name]];
  const additional = part.additionalProperties;
  if (additional === undefined || additional === true) return [];
  const isMatched = Object.keys(recordOf(part.patternProperties)).some((pattern) =>
    patternMatches(pattern, name),
  );
  return isMatched ? [] : [additional];
}

function recordOf(value: unknown): RawSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as RawSchema)
    : {};
}

function bothOf(schemas: readonly unknown[]): unknown {
  if (schemas.includes(false)) return false;
  const different = schemas.filter(
    (schema, index) => !schemas.slice(0, index).some((other) => isDeepStrictEqual(other, schema)),
  );
  if (different.length < 2) return different[0] ?? true;
  return { allOf: different };
}

function combine(keyword: string, one: unknown, other: unknown): unknown {
  if (isDeepStrictEqual(one, other)) return one;
  switch (keyword) {
    case 'required':
      return [...new Set([one, other].flat())];
    case 'type':
      return commonTypes([one].flat(), [other].flat());
    case 'enum':
      return intersection(keyword, [one].flat(), [other].flat());
    case 'const':
      throw new Contradiction('', 'has parts whose `const` exclude each other');
    case 'minimum':
    case 'exclusiveMinimum':
    case 'minLength':
    case 'minItems':
    case 'minProperties':
    case 'minContains':
      if (typeof one !== 'number' || typeof other !== 'number') break;
      return Math.max(one, other);
    case 'maximum':
    case 'exclusiveMaximum':
    case 'maxLength':
    case 'maxItems':
    case 'maxProperties':
    case 'maxContains':
      if (typeof one !== 'number' || typeof other !== 'number') break;
      return Math.min(one, other);
    case 'uniqueItems':
      return one === true || other === true;
    case 'items':
    case 'propertyNames':
    case 'unevaluatedProperties':
    case 'unevaluatedItems':
      if (Array.isArray(one) || Array.isArray(other)) break;
      return bothOf([one, other]);
    case 'nullable':
      return one === true && other === true;
    case 'pattern':
    case 'format':
    case 'multipleOf':
    case 'not':
    case 'anyOf':
    case 'oneOf':
      return Every.of([...Every.values(one), ...Every.values(other)]);
  }
  if (!restricting.has(keyword)) return one;
  throw new GrammarProblem(
    '',
    `has \`${keyword}\` in two parts, which cannot be enforced together`,
  );
}

/** Keywords that two parts cannot have; all others that are not combined are annotations. */
const restricting = new Set([
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'minLength', 'maxLength'],
  ...['minItems', 'maxItems', 'minProperties', 'maxProperties', 'minContains', 'maxContains'],
  ...['items', 'prefixItems', 'additionalItems', 'contains', 'if', 'then', 'else'],
  ...['dependencies', 'dependentRequired', 'dependentSchemas', '$dynamicRef', '$recursiveRef'],
]);

/** An integer is a number. */
function commonTypes(one: readonly unknown[], other: readonly unknown[]): unknown[] {
  const has = (types: readonly unknown[], type: unknown) =>
    types.includes(type) || (type === 'integer' && types.includes('number'));
  const common = new Set([
    ...one.filter((type) => has(other, type)),
    ...other.filter((type) => has(one, type)),
  ]);
  if (common.size === 0) throw new Contradiction('', 'has parts whose `type` exclude each other');
  return [...common];
}

function intersection(
  keyword: string,
  one: readonly unknown[],
  other: readonly unknown[],
): unknown[] {
  const others = new Set(other.map((value) => JSON.stringify(value)));
  const common = one.filter((value) => others.has(JSON.stringify(value)));
  if (common.length === 0)
    throw new Contradiction('', `has parts whose \`${keyword}\` exclude each other`);
  return common;
}
