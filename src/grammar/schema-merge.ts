import { isDeepStrictEqual } from 'node:util';
import { GrammarProblem } from './problem.ts';

/** An unchecked JSON schema; values are checked where they are used. */
export type RawSchema = Readonly<Record<string, unknown>>;

/** Maximum parts: references may be circular, or double at each step. */
const maxParts = 256;

/**
 * One schema that is equivalent to all of `parts` together.
 * @param resolve - returns the target of a `$ref`; throws when there is none
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
  const objects = flat.filter((part) => part.properties !== undefined);
  for (const part of flat) {
    const closes =
      part.additionalProperties !== undefined &&
      part.additionalProperties !== true &&
      objects.length > 1;
    if (closes || (part.unevaluatedProperties !== undefined && objects.length > 1)) {
      throw new GrammarProblem(
        '',
        'has `additionalProperties` in one part, and properties in another',
      );
    }
  }
  const merged: Record<string, unknown> = {};
  for (const part of flat) {
    for (const [keyword, value] of Object.entries(part)) {
      merged[keyword] =
        merged[keyword] === undefined ? value : combine(keyword, merged[keyword], value);
    }
  }
  return merged;
}

/** The constraints of a part itself, and the parts it refers to. */
function split(
  part: unknown,
  resolve: (reference: unknown) => unknown,
): { readonly constraints: RawSchema; readonly inner: readonly unknown[] } {
  if (part === true) return { constraints: {}, inner: [] };
  if (typeof part !== 'object' || part === null || Array.isArray(part)) {
    throw new GrammarProblem('', 'has a part that is not a schema, or allows no value');
  }
  const { $ref: reference, allOf: members, ...rest } = part as RawSchema;
  return {
    constraints: Object.fromEntries(Object.entries(rest).filter(([keyword]) => !isNote(keyword))),
    inner: [
      ...(reference === undefined ? [] : [resolve(reference)]),
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

function combine(keyword: string, one: unknown, other: unknown): unknown {
  if (isDeepStrictEqual(one, other)) return one;
  switch (keyword) {
    case 'properties':
      return combineProperties(one as RawSchema, other as RawSchema);
    case 'required':
      return [...new Set([one, other].flat())];
    case 'type':
      return intersection(keyword, [one].flat(), [other].flat());
    case 'enum':
      return intersection(keyword, [one].flat(), [other].flat());
    case 'minimum':
    case 'exclusiveMinimum':
    case 'minLength':
    case 'minItems':
      return Math.max(Number(one), Number(other));
    case 'maximum':
    case 'exclusiveMaximum':
    case 'maxLength':
    case 'maxItems':
      return Math.min(Number(one), Number(other));
    default:
      throw new GrammarProblem(
        '',
        `has \`${keyword}\` in two parts, which cannot be enforced together`,
      );
  }
}

function combineProperties(one: RawSchema, other: RawSchema): RawSchema {
  const merged: Record<string, unknown> = { ...one };
  for (const [name, schema] of Object.entries(other)) {
    const both = Object.hasOwn(merged, name) && !isDeepStrictEqual(merged[name], schema);
    merged[name] = both ? { allOf: [merged[name], schema] } : schema;
  }
  return merged;
}

function intersection(
  keyword: string,
  one: readonly unknown[],
  other: readonly unknown[],
): unknown[] {
  const others = new Set(other.map((value) => JSON.stringify(value)));
  const common = one.filter((value) => others.has(JSON.stringify(value)));
  if (common.length === 0)
    throw new GrammarProblem('', `has parts whose \`${keyword}\` exclude each other`);
  return common;
}
