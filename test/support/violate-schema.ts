/** Breaks a body that fits its schema at one place, so that the body no longer fits. */
import type { SeededRandom } from '../../tools/fixtures/seeded-random.ts';

/** The keywords of a schema that a violation is drawn from. */
interface PlainSchema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, PlainSchema>>;
  readonly required?: readonly string[];
  readonly items?: PlainSchema;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxLength?: number;
}

type Path = readonly (string | number)[];

/** One way to break a body. */
export interface Violation {
  readonly path: Path;
  /** Undefined: the field is left out. */
  readonly value: unknown;
}

/** All violations of one keyword each, at every place that the body has. */
export function violationsOf(schema: object, body: unknown): Violation[] {
  return [...violations(schema as PlainSchema, body, [])];
}

function* violations(schema: PlainSchema, value: unknown, path: Path): Generator<Violation> {
  if (path.length > 0) {
    for (const wrong of wrongValues(schema)) yield { path, value: wrong };
  }
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      if (schema.items) yield* violations(schema.items, item, [...path, index]);
    }
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  for (const name of schema.required ?? []) yield { path: [...path, name], value: undefined };
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    // A field that the body lacks is broken by a wrong value, too.
    yield* violations(inner, (value as Record<string, unknown>)[name], [...path, name]);
  }
}

const samples: Readonly<Record<string, unknown>> = {
  string: 'text',
  number: 1.5,
  integer: 7,
  boolean: true,
  object: { a: 1 },
  array: [1],
  null: null,
};

function* wrongValues(schema: PlainSchema): Generator<unknown> {
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length > 0) {
    for (const [type, sample] of Object.entries(samples)) {
      const isNumber = type === 'integer' && types.includes('number');
      if (!types.includes(type) && !isNumber) yield sample;
    }
  }
  if (schema.enum !== undefined) yield 'no such value';
  // Larger ones have no neighbour among the numbers of JSON.
  if (schema.minimum !== undefined && schema.minimum > -(2 ** 50)) yield schema.minimum - 1;
  if (schema.maximum !== undefined && schema.maximum < 2 ** 50) yield schema.maximum + 1;
  if (schema.minItems !== undefined) yield Array.from({ length: schema.minItems - 1 });
  if (schema.maxLength !== undefined && schema.maxLength < 10_000) {
    yield 'a'.repeat(schema.maxLength + 1);
  }
}

/** A copy of the body with the violation. */
export function broken(body: object, { path, value }: Violation): object {
  const copy: unknown = structuredClone(body);
  let place = copy as Record<string | number, unknown>;
  for (const key of path.slice(0, -1)) {
    place[key] ??= {};
    place = place[key] as Record<string | number, unknown>;
  }
  const last = path.at(-1) ?? '';
  if (value === undefined) delete place[last];
  else place[last] = value;
  return copy as object;
}

export function pick<Item>(items: readonly Item[], random: SeededRandom): Item {
  const item = items[random.integer(0, items.length - 1)];
  if (item === undefined) throw new Error('there is nothing to pick');
  return item;
}
