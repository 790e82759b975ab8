/** Keywords that choose between schemas, rewritten to alternatives: `not`, `if`, and properties that need others. */
import { isRecord, join, restrictions } from './schema-keywords.ts';
import { Every, type RawSchema } from './schema-merge.ts';
import { alternativesSchema, Excluded, negationOf } from './schema-negation.ts';
import type { NodeReader } from './schema-reading.ts';

/** A reader that also follows references and joins schemas. */
export interface ChoiceReader extends NodeReader {
  resolve(reference: unknown, path: string): unknown;
  merge(parts: readonly unknown[], path: string): RawSchema;
}

/** A schema without these keywords, or with a form of `not` that remains; the same where it has none. */
export function rewriteChoices(schema: RawSchema, path: string, reader: ChoiceReader): RawSchema {
  if (Every.values(schema.not).some((each) => !(each instanceof Excluded))) {
    return withoutNot(schema, path, reader);
  }
  if (['if', 'then', 'else'].some((keyword) => schema[keyword] !== undefined)) {
    return withoutIf(schema, path, reader);
  }
  const dependent = ['dependentRequired', 'dependentSchemas', 'dependencies'];
  if (dependent.some((keyword) => schema[keyword] !== undefined)) {
    return withoutDependents(schema, path, reader);
  }
  return schema;
}

function withoutNot(schema: RawSchema, path: string, reader: ChoiceReader): RawSchema {
  const { not, ...rest } = schema;
  const remaining: unknown[] = [];
  const parts: unknown[] = [];
  for (const each of Every.values(not)) {
    if (each instanceof Excluded) {
      remaining.push(each);
      continue;
    }
    const negation = negationOf(
      each,
      (reference) => reader.resolve(reference, path),
      () => reader.reading.tighten(join(path, 'not')),
    );
    if (negation === undefined) reader.reading.refuse(join(path, 'not'), 'cannot be enforced');
    else parts.push(alternativesSchema(negation));
  }
  if (parts.includes(false)) {
    reader.reading.impossible(join(path, 'not'), 'leaves no value');
    return rest;
  }
  const kept = remaining.length === 0 ? rest : { ...rest, not: Every.of(remaining) };
  return parts.length === 0 ? kept : reader.merge([restrictions(kept), ...parts], path);
}

function withoutIf(schema: RawSchema, path: string, reader: ChoiceReader): RawSchema {
  const { if: condition, then: consequence = true, else: alternative = true, ...rest } = schema;
  if (condition === undefined || (consequence === true && alternative === true)) return rest;
  const negation = negationOf(
    condition,
    (reference) => reader.resolve(reference, path),
    () => reader.reading.tighten(join(path, 'if')),
  );
  if (negation === undefined) {
    reader.reading.refuse(join(path, 'if'), 'cannot be enforced: its opposite has no grammar');
    return rest;
  }
  const branches = [
    { allOf: [condition, consequence] },
    ...negation.map((each) => ({ allOf: [each, alternative] })),
  ];
  return reader.merge([restrictions(rest), { anyOf: branches }], path);
}

/** A property that needs others is absent, or they are required. */
function withoutDependents(schema: RawSchema, path: string, reader: ChoiceReader): RawSchema {
  const { dependentRequired, dependentSchemas, dependencies, ...rest } = schema;
  const parts: unknown[] = [];
  for (const [keyword, value] of Object.entries({
    dependentRequired,
    dependentSchemas,
    dependencies,
  })) {
    if (value === undefined) continue;
    if (!isRecord(value)) {
      reader.reading.refuse(join(path, keyword), 'must be an object');
      continue;
    }
    for (const [name, needed] of Object.entries(value)) {
      const isList = Array.isArray(needed);
      const withName = isList
        ? { required: [name, ...needed] }
        : { allOf: [{ required: [name] }, needed] };
      parts.push({ anyOf: [{ properties: { [name]: false } }, withName] });
    }
  }
  return reader.merge([restrictions(rest), ...parts], path);
}
