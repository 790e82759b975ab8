/**
 * Values that llama.cpp's converter has no schema for, such as numbers between bounds: their grammar is written here and
 * stands in the schema as a constant. `native/src/grammar/written_rules.cc` puts it in the constant's place.
 */
import type { RuleWriter } from './rule-writer.ts';
import type { RawSchema } from './schema-merge.ts';

/** The only key of such a constant, equal to `kWrittenKey` of the native side. Requests cannot contain it. */
export const writtenKey = '\uf8ffgbnf';

/** Writes JSON values as expressions of a grammar. */
export interface ValueWriter {
  readonly rules: RuleWriter;
  /** An expression for the values of a rewritten schema. */
  value(schema: RawSchema): string;
}

/** A grammar that is written when all definitions of the schema are known. */
export class Written {
  readonly write: (writer: ValueWriter) => string;

  constructor(write: (writer: ValueWriter) => string) {
    this.write = write;
  }
}

/** @param plain - allows all values of the grammar, for readers of the schema: its type at least */
export function writtenSchema(plain: RawSchema, write: (writer: ValueWriter) => string): RawSchema {
  return { ...plain, const: new Written(write) };
}

/** A literal of a grammar. */
export function literal(text: string): string {
  const escaped = text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
  return `"${escaped}"`;
}

/** One of `texts`, each followed by its expression: a tree, so that few of them are tried at the same time. */
export function treeOf(texts: ReadonlyMap<string, string>, rules: RuleWriter): string {
  const groups = new Map<string, [string, string][]>();
  for (const [text, after] of texts) {
    const [first = ''] = text;
    const group = groups.get(first);
    if (group === undefined) groups.set(first, [[text, after]]);
    else group.push([text, after]);
  }
  const choices = [...groups.values()].map((entries) => {
    const [[text, after] = ['', ''], ...others] = entries;
    if (others.length === 0) return `${literal(text)} ${after}`.trim();
    const start = commonStart(entries.map(([each]) => each));
    const rests = new Map(entries.map(([each, next]) => [each.slice(start.length), next]));
    return `${literal(start)} ${treeOf(rests, rules)}`;
  });
  return rules.add(choices.join(' | '));
}

function commonStart(texts: readonly string[]): string {
  const [first = ''] = texts;
  let length = first.length;
  for (const text of texts) {
    while (!text.startsWith(first.slice(0, length))) length -= 1;
  }
  // Not between the halves of a surrogate pair.
  const last = first.charCodeAt(length - 1);
  return first.slice(0, last >= 0xd800 && last <= 0xdbff ? length - 1 : length);
}
