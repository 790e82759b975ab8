/** Writes the grammars of a rewritten schema that llama.cpp's converter cannot write. */
import { writeNumbers } from './number-grammar.ts';
import { RuleWriter } from './rule-writer.ts';
import type { RawSchema } from './schema-merge.ts';
import type { Definitions } from './schema-shape.ts';
import { literal, treeOf, type ValueWriter, Written, writtenKey } from './written.ts';

/** As llama.cpp's own grammars have it between the tokens of JSON. */
const space = '| " " | "\\n"{1,2} [ \\t]{0,20}';
const character = String.raw`[^"\\\x7F\x00-\x1F] | [\\] (["\\bfnrt] | "u" [0-9a-fA-F]{4})`;
const whole = '[0] | [1-9] [0-9]{0,15}';

/** `schema` with the text of each grammar in the place of a {@link Written}. */
export function withGrammars(schema: RawSchema, definitions: Definitions): RawSchema {
  return new GrammarPlacer(definitions).place(schema, 0);
}

class GrammarPlacer {
  readonly #definitions: Definitions;

  constructor(definitions: Definitions) {
    this.#definitions = definitions;
  }

  place(schema: RawSchema, depth: number): RawSchema {
    const grammar = schema.const;
    if (!(grammar instanceof Written)) return this.#placeWithin(schema, depth);
    const writer = new GrammarWriter(this.#definitions);
    const text = writer.rules.text(grammar.write(writer));
    // Only the arguments of a call are read one by one.
    const { type, enum: values, pattern } = schema;
    const plain =
      depth === 0 ? this.#placeWithin(schema, depth) : definedOnes({ type, enum: values, pattern });
    return { ...plain, const: { [writtenKey]: text } };
  }

  #placeWithin(schema: RawSchema, depth: number): RawSchema {
    const placed: Record<string, unknown> = { ...schema };
    const place = (each: unknown) => this.place(each as RawSchema, depth + 1);
    for (const keyword of ['items', 'additionalProperties']) {
      if (typeof schema[keyword] === 'object') placed[keyword] = place(schema[keyword]);
    }
    for (const keyword of ['prefixItems', 'anyOf']) {
      if (Array.isArray(schema[keyword])) placed[keyword] = schema[keyword].map(place);
    }
    if (typeof schema.properties === 'object') {
      const entries = Object.entries(schema.properties as RawSchema);
      placed.properties = Object.fromEntries(entries.map(([name, each]) => [name, place(each)]));
    }
    return placed;
  }
}

function definedOnes(schema: RawSchema): RawSchema {
  return Object.fromEntries(Object.entries(schema).filter(([, value]) => value !== undefined));
}

/** Writes the values of rewritten schemas, references included. */
export class GrammarWriter implements ValueWriter {
  readonly rules = new RuleWriter();
  readonly #definitions: Definitions;
  readonly #named = new Map<string, string>();

  constructor(definitions: Definitions) {
    this.#definitions = definitions;
  }

  value(schema: RawSchema): string {
    if (schema.const instanceof Written) return this.rules.add(schema.const.write(this));
    if (typeof schema.$ref === 'string') return this.#reference(schema.$ref);
    if ('const' in schema) return literal(JSON.stringify(schema.const));
    if (Array.isArray(schema.enum)) {
      const texts = schema.enum.map((value) => [JSON.stringify(value), ''] as const);
      return treeOf(new Map(texts), this.rules);
    }
    if (Array.isArray(schema.anyOf)) {
      return this.rules.add(schema.anyOf.map((each) => this.value(each)).join(' | '));
    }
    return this.#typed(schema);
  }

  #typed(schema: RawSchema): string {
    switch (schema.type) {
      case 'object':
        return this.#object(schema);
      case 'array':
        return this.#array(schema);
      case 'string':
        return this.#string(schema);
      case 'number':
        return this.rules.add(`"-"? (${whole}) ("." [0-9]{1,16})? ([eE] [-+]? [0-9] [0-9]?)?`);
      case 'integer':
        return this.#integer(schema);
      case 'boolean':
        return this.rules.add('"true" | "false"');
      case 'null':
        return '"null"';
      default:
        return this.#any();
    }
  }

  #integer({ minimum, maximum }: RawSchema): string {
    if (minimum === undefined) return this.rules.add(`"-"? (${whole})`);
    const range = {
      scale: 0,
      step: 1n,
      low: BigInt(Number(minimum)),
      high: BigInt(Number(maximum)),
    };
    return this.rules.add(writeNumbers(range, this.rules));
  }

  /** A rule that the caller defines, because it may refer to itself. */
  #once(key: string, body: () => string): string {
    const known = this.#named.get(key);
    if (known !== undefined) return known;
    const name = this.rules.reserve();
    this.#named.set(key, name);
    this.rules.define(name, body());
    return name;
  }

  #reference(pointer: string): string {
    const name = pointer.slice('#/$defs/'.length);
    return this.#once(pointer, () => this.value(this.#definitions.get(name)?.schema ?? {}));
  }

  #any(): string {
    const types = ['object', 'array', 'string', 'number', 'boolean', 'null'];
    return this.#once('any', () => types.map((type) => this.value({ type })).join(' | '));
  }

  #string({ pattern }: RawSchema): string {
    if (typeof pattern === 'string') {
      return this.rules.add(`"\\"" (${patternExpression(pattern, this.rules)}) "\\""`);
    }
    return this.rules.add(`"\\"" (${character})* "\\""`);
  }

  #object(schema: RawSchema): string {
    if (schema.properties !== undefined) return this.#members(schema);
    if (schema.additionalProperties === false) return `("{" ${this.space} "}")`;
    const each = (schema.additionalProperties ?? {}) as RawSchema;
    const member = `${this.value({ type: 'string' })} ":" ${this.space} ${this.value(each)}`;
    return this.rules.add(repeated('{', member, '}', this.rules, { min: 0 }));
  }

  /** The members in their order; those that are not required may be left out. */
  #members(schema: RawSchema): string {
    const required = (schema.required ?? []) as readonly string[];
    const members = Object.entries(schema.properties as Record<string, RawSchema>).map(
      ([name, each]) => ({
        text: `${literal(JSON.stringify(name))} ${this.space} ":" ${this.space} ${this.value(each)}`,
        isRequired: required.includes(name),
      }),
    );
    return writeMembers(members, { min: 0, max: members.length }, this.rules, this.space);
  }

  #array(schema: RawSchema): string {
    if (Array.isArray(schema.prefixItems)) {
      const items = schema.prefixItems.map((item) => this.value(item));
      return this.rules.add(
        `"[" ${this.space} ${items.join(` "," ${this.space} `)} ${this.space} "]"`,
      );
    }
    if (schema.maxItems === 0) return `("[" ${this.space} "]")`;
    const counts = {
      min: Number(schema.minItems ?? 0),
      max: schema.maxItems as number | undefined,
    };
    const item = this.value((schema.items ?? {}) as RawSchema);
    return this.rules.add(repeated('[', item, ']', this.rules, counts, this.space));
  }

  get space(): string {
    return this.rules.add(space);
  }
}

/** `open`, some of `item` with commas between them, `close`. */
export function repeated(
  open: string,
  item: string,
  close: string,
  rules: RuleWriter,
  { min, max }: { readonly min: number; readonly max?: number | undefined },
  blank = rules.add('| " "'),
): string {
  // llama.cpp multiplies the rules within a repeated group with its repetitions, and refuses many.
  const next = rules.add(`"," ${blank} ${item}`);
  const all = rules.add(
    `${item} ${next}{${Math.max(min - 1, 0)},${max === undefined ? '' : max - 1}}`,
  );
  return `"${open}" ${blank} ${min === 0 ? `${all}?` : all} ${blank} "${close}"`;
}

/** The expression of a pattern as `emitPattern` writes it, with a rule for each repeated group. */
export function patternExpression(pattern: string, rules: RuleWriter): string {
  const body = pattern.slice(1, -1);
  /** What is written so far of each open group. */
  const open = [''];
  const add = (text: string) => open.push(`${open.pop()}${text}`);
  for (let at = 0; at < body.length; at++) {
    const character = body[at] ?? '';
    if (character === '[') {
      // Brackets within classes are escaped as code points.
      const end = body.indexOf(']', at);
      add(body.slice(at, end + 1));
      at = end;
    } else if (character === '(') {
      open.push('');
    } else if (character === ')') {
      const group = open.pop() ?? '';
      const isRepeated = '{*+?'.includes(body[at + 1] ?? ' ');
      add(isRepeated && /[{*+?(]/.test(group) ? rules.add(group) : `(${group})`);
    } else {
      add(character);
    }
  }
  return open.pop() || '""';
}

/** A member of an object, or an item of an array, that may be left out unless it is required. */
export interface Member {
  readonly text: string;
  readonly isRequired: boolean;
}

/** A rule for `members` in their order, `min` to `max` of them, between brackets. */
export function writeMembers(
  members: readonly Member[],
  { min, max }: { readonly min: number; readonly max: number },
  rules: RuleWriter,
  blank: string,
  [open, close]: readonly [string, string] = ['{', '}'],
): string {
  const names = new Map<string, string | undefined>();
  const isCounted = min > 0 || max < members.length;
  /** The rule for the members from `index` on, where `count` are written; undefined where none is possible. */
  const rest = (index: number, count: number): string | undefined => {
    if (count > max) return undefined;
    if (index === members.length) return count >= min ? '""' : undefined;
    const key = `${index}/${isCounted ? count : Math.min(count, 1)}`;
    if (names.has(key)) return names.get(key);
    const { text, isRequired } = members[index] as Member;
    const choices: string[] = [];
    const after = rest(index + 1, count + 1);
    if (after !== undefined) {
      const member = count > 0 ? `"," ${blank} ${text}` : text;
      choices.push(after === '""' ? member : `${member} ${after}`);
    }
    const without = isRequired ? undefined : rest(index + 1, count);
    if (without !== undefined) choices.push(without);
    const name = choices.length === 0 ? undefined : rules.add(choices.join(' | '));
    names.set(key, name);
    return name;
  };
  return rules.add(`"${open}" ${blank} ${rest(0, 0) ?? '""'} ${blank} "${close}"`);
}
