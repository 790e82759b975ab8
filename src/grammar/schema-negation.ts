/** Schemas of the values that another schema does not allow. */
import { isDeepStrictEqual } from 'node:util';
import { annotations, isRecord, typeNames } from './schema-keywords.ts';
import { Every, type RawSchema } from './schema-merge.ts';

/** Listed values that are not allowed: the form of `not` that remains. No request contains it. */
export class Excluded {
  readonly values: readonly unknown[];

  constructor(values: readonly unknown[]) {
    this.values = values;
  }

  includes(value: unknown): boolean {
    return this.values.some((each) => isDeepStrictEqual(each, value));
  }
}

const opposites: Readonly<Record<string, string>> = {
  minimum: 'exclusiveMaximum',
  exclusiveMinimum: 'maximum',
  maximum: 'exclusiveMinimum',
  exclusiveMaximum: 'minimum',
};

/**
 * Alternatives of values that `schema` does not allow: none where it allows all. Undefined where they have no schema.
 * @param resolve - returns the target of a `$ref`; throws when there is none
 * @param leaveOut - called where some of the values have no schema, and are not among the alternatives
 */
export function negationOf(
  schema: unknown,
  resolve: (reference: unknown) => unknown,
  leaveOut: () => void,
  depth = 0,
): readonly RawSchema[] | undefined {
  if (depth > 16) return undefined;
  if (schema === true) return [];
  if (schema === false) return [{}];
  if (!isRecord(schema)) return undefined;
  const alternatives: RawSchema[] = [];
  let isWhole = true;
  const negate = (inner: unknown) => negationOf(inner, resolve, leaveOut, depth + 1);
  for (const [keyword, value] of Object.entries(schema)) {
    if (annotations.has(keyword) || (value === null && keyword !== 'const')) continue;
    if (keyword === 'type' && [value].flat().includes('integer')) leaveOut();
    const negated =
      keyword === '$ref' ? negate(resolve(value)) : negatedKeyword(keyword, value, schema, negate);
    isWhole &&= negated !== undefined;
    alternatives.push(...(negated ?? []));
  }
  if (!isWhole && alternatives.length > 0) leaveOut();
  return isWhole || alternatives.length > 0 ? alternatives : undefined;
}

type Negate = (schema: unknown) => readonly RawSchema[] | undefined;

/** The values that one keyword forbids. */
function negatedKeyword(
  keyword: string,
  value: unknown,
  schema: RawSchema,
  negate: Negate,
): readonly RawSchema[] | undefined {
  switch (keyword) {
    case 'type': {
      const types = [value].flat();
      // Numbers that are no integers have no type of their own.
      const isNumber = types.includes('integer') || types.includes('number');
      const others = typeNames.filter(
        (type) => type !== 'integer' && !types.includes(type) && !(isNumber && type === 'number'),
      );
      return others.length === 0 ? [] : [{ type: others }];
    }
    case 'const':
      return [{ not: new Excluded([value]) }];
    case 'enum':
      return Array.isArray(value) ? [{ not: new Excluded(value) }] : undefined;
    case 'required':
      if (!Array.isArray(value)) return undefined;
      return value.map((name) => ({ type: 'object', properties: { [String(name)]: false } }));
    case 'properties':
      return negatedProperties(value, negate);
    case 'minimum':
    case 'exclusiveMinimum':
    case 'maximum':
    case 'exclusiveMaximum':
      if (typeof value !== 'number') return undefined;
      return [{ type: 'number', [opposites[keyword] as string]: value }];
    case 'minLength':
    case 'minItems':
    case 'minProperties':
      return typeof value === 'number' ? negatedCount(keyword, value - 1) : undefined;
    case 'maxLength':
    case 'maxItems':
    case 'maxProperties':
      return typeof value === 'number' ? negatedCount(keyword, value + 1) : undefined;
    case 'pattern': {
      const pattern = typeof value === 'string' ? negatedPattern(value) : undefined;
      return pattern === undefined ? undefined : [{ type: 'string', pattern }];
    }
    case 'not':
      return isRecord(value) || typeof value === 'boolean' ? [{ allOf: [value] }] : undefined;
    case 'anyOf': {
      if (!Array.isArray(value)) return undefined;
      const all = value.map((branch) => negate(branch));
      return all.every((each) => each !== undefined)
        ? [{ allOf: all.map((each) => alternativesSchema(each)) }]
        : undefined;
    }
    case 'allOf': {
      if (!Array.isArray(value)) return undefined;
      const all = value.map((branch) => negate(branch));
      return all.every((each) => each !== undefined) ? all.flat() : undefined;
    }
    case 'if':
    case 'then':
    case 'else':
    case '$ref':
      return undefined;
    default:
      return isKnownHarmless(keyword, schema) ? [] : undefined;
  }
}

function negatedProperties(value: unknown, negate: Negate): readonly RawSchema[] | undefined {
  if (!isRecord(value)) return undefined;
  const alternatives: RawSchema[] = [];
  for (const [name, property] of Object.entries(value)) {
    const negated = negate(property);
    if (negated === undefined) return undefined;
    if (negated.length === 0) continue;
    alternatives.push({
      type: 'object',
      properties: { [name]: alternativesSchema(negated) },
      required: [name],
    });
  }
  return alternatives;
}

/** A count below the minimum, or above the maximum, of a keyword. */
function negatedCount(keyword: string, bound: number): readonly RawSchema[] {
  const opposite = keyword.startsWith('min')
    ? keyword.replace('min', 'max')
    : keyword.replace('max', 'min');
  const type = { Length: 'string', Items: 'array', Properties: 'object' }[keyword.slice(3)];
  return bound < 0 ? [] : [{ type, [opposite]: bound }];
}

/** A pattern of all strings that another does not match. */
function negatedPattern(source: string): string | undefined {
  if (!source.includes('^')) return `^(?![\\s\\S]*(?:${source}))`;
  return source.startsWith('^') && !source.includes('|') ? `^(?!${source})` : undefined;
}

/** One schema for alternatives; false for none. */
export function alternativesSchema(alternatives: readonly RawSchema[]): unknown {
  if (alternatives.length === 0) return false;
  return alternatives.length === 1 ? alternatives[0] : { anyOf: alternatives };
}

/** `additionalProperties: true` and the like. */
function isKnownHarmless(keyword: string, schema: RawSchema): boolean {
  const value = schema[keyword];
  if (value instanceof Every || value instanceof Excluded) return false;
  return (
    value === true && ['additionalProperties', 'items', 'unevaluatedProperties'].includes(keyword)
  );
}

/** A regular expression of all strings but `texts`. */
export function patternOfOthers(texts: readonly string[]): string {
  return `^${othersOf([...new Set(texts)].map((text) => [...text]))}$`;
}

/** What may stand where none of `texts`, as characters, may. */
function othersOf(texts: readonly (readonly string[])[]): string {
  const groups = new Map<string, (readonly string[])[]>();
  for (const [first, ...rest] of texts) {
    if (first !== undefined) groups.set(first, [...(groups.get(first) ?? []), rest]);
  }
  const any = '[\\s\\S]';
  const escapes = new Map([...groups.keys()].map((first) => [first, escaped(first)]));
  const choices = [...groups].map(([first, rests]) => `${escapes.get(first)}${othersOf(rests)}`);
  choices.push(groups.size === 0 ? `${any}+` : `[^${[...escapes.values()].join('')}]${any}*`);
  // The empty rest is one of the texts, or not.
  if (!texts.some((text) => text.length === 0)) choices.push('');
  return `(?:${choices.join('|')})`;
}

function escaped(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
