import type { SeededRandom } from '../../tools/fixtures/seeded-random.ts';

type JsonSchema = Record<string, unknown>;

const names = [
  'id',
  'name',
  'größe',
  'a b',
  'kind',
  'x"y',
  'items',
  'string',
  'root',
  'n-1',
  '$ref',
];
const words = ['red', 'green', 'new\nline', 'quo"te', '', 'ünï', 'back\\slash', '<|im_end|>'];
const patterns = [
  '^[a-z]{2,4}-[0-9]{3}$',
  '^(yes|no|maybe)$',
  '^\\d{1,3}(\\.\\d{1,2})?$',
  '^"[^"]{0,5}"$',
  '^.{1,8}$',
  '^(ab?|c\\\\d){1,3}$',
  '^[^,\\n]{1,6}(,[^,\\n]{1,6}){0,2}$',
  '^\\w+@\\w+$|^none$',
  '^(?!no)[a-z]{2,5}$',
  '^(?=.*\\d)[a-f\\d]{3,6}$',
];
const formats = [
  ...['date', 'time', 'date-time', 'uuid', 'ipv4', 'ipv6', 'email', 'hostname', 'duration'],
  ...['uri', 'json-pointer', 'no-known-format'],
];

/**
 * A schema of the keywords that docs/api.md lists, with values that fit it: most are short, so that a
 * model which writes nonsense comes to their end.
 */
export function randomSchema(random: SeededRandom): JsonSchema {
  const root = new SchemaWriter(random);
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', ...root.root() };
}

class SchemaWriter {
  readonly #random: SeededRandom;
  #definesTree = false;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  root(): JsonSchema {
    const schema = this.#chance(0.8) ? this.#object(0) : this.#any(0);
    const definitions = {
      Color: { enum: ['red', 'green', 'blue'] },
      Point: {
        type: 'object',
        properties: { x: { type: 'integer' }, y: { type: 'integer', minimum: -5 } },
        required: ['x', 'y'],
        additionalProperties: false,
      },
      Tree: {
        type: 'object',
        properties: {
          value: { type: 'boolean' },
          children: { type: 'array', items: { $ref: '#/$defs/Tree' }, maxItems: 2 },
        },
        required: ['value'],
      },
    };
    return this.#definesTree ? { ...schema, $defs: definitions } : schema;
  }

  #chance(probability: number): boolean {
    return this.#random.next() < probability;
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[this.#random.integer(0, items.length - 1)] as Item;
  }

  #some<Item>(items: readonly Item[], count: number): Item[] {
    const left = [...items];
    return Array.from({ length: Math.min(count, left.length) }, () => {
      const [item] = left.splice(this.#random.integer(0, left.length - 1), 1);
      return item as Item;
    });
  }

  #any(depth: number): JsonSchema {
    const leaf = depth >= 3;
    const kinds = [
      ...['string', 'pattern', 'format', 'integer', 'number', 'boolean', 'null', 'const', 'enum'],
      ...['types', 'nullable', 'ref', 'bounds', 'multiples', 'many', 'short'],
      ...(leaf ? [] : ['object', 'array', 'tuple', 'anyOf', 'oneOf', 'allOf', 'map']),
      ...(leaf ? [] : ['names', 'counted', 'unique', 'contains', 'if', 'not']),
    ] as const;
    const schema = this.#kind(this.#pick(kinds), depth);
    return this.#chance(0.2) ? { title: 'T', description: 'some of it', ...schema } : schema;
  }

  #kind(kind: string, depth: number): JsonSchema {
    switch (kind) {
      case 'string': {
        const min = this.#random.integer(0, 4);
        return {
          type: 'string',
          ...(this.#chance(0.5) && { minLength: min }),
          maxLength: min + this.#random.integer(0, 6),
        };
      }
      case 'pattern':
        return { type: 'string', pattern: this.#pick(patterns) };
      case 'format':
        return { type: 'string', format: this.#pick(formats) };
      case 'integer':
        return this.#integer();
      case 'number':
      case 'boolean':
      case 'null':
        return { type: kind };
      case 'bounds':
        return this.#bounds();
      case 'multiples': {
        const step = this.#pick([0.01, 0.25, 0.5, 3, 7, 60, 100]);
        return {
          type: 'number',
          multipleOf: step,
          ...(this.#chance(0.5) && { minimum: 10 * step }),
        };
      }
      case 'many':
        return { enum: Array.from({ length: 200 }, (_, index) => `${this.#pick(words)}${index}`) };
      case 'short':
        return { type: 'string', pattern: '^[a-z]+(-[a-z]+)*$', minLength: 2, maxLength: 8 };
      case 'names':
        return this.#chance(0.5)
          ? { type: 'object', propertyNames: { pattern: '^[a-z]{1,3}$' }, maxProperties: 2 }
          : { type: 'object', patternProperties: { '^x-.$': this.#any(depth + 1) } };
      case 'counted':
        return {
          type: 'object',
          properties: { a: this.#any(depth + 1), b: this.#any(depth + 1), c: { type: 'null' } },
          minProperties: this.#random.integer(1, 2),
          maxProperties: 2,
        };
      case 'unique':
        return {
          type: 'array',
          items: this.#pick([{ type: 'boolean' }, { enum: words }]),
          uniqueItems: true,
        };
      case 'contains':
        return {
          type: 'array',
          items: { type: 'boolean' },
          contains: { const: true },
          maxItems: 4,
        };
      case 'if':
        return {
          type: 'object',
          properties: { kind: { enum: ['x', 'y'] }, more: this.#any(depth + 1) },
          required: ['kind'],
          if: { properties: { kind: { const: 'x' } } },
          // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON schemas.
          then: { required: ['more'] },
        };
      case 'not':
        return {
          type: ['string', 'integer'],
          not: { enum: ['', 'a', 0] },
          maxLength: 3,
          maximum: 9,
        };
      case 'const':
        return { const: this.#pick([...words, 5, -1.5, null, true, { a: [1] }]) };
      case 'enum':
        return { enum: this.#some([...words, 1, 2.5, null, ['x']], this.#random.integer(1, 5)) };
      case 'types':
        return { type: this.#some(['integer', 'boolean', 'null'], 2) };
      case 'nullable':
        return { type: ['string', 'null'], maxLength: 5 };
      case 'ref':
        this.#definesTree = true;
        return { $ref: `#/$defs/${this.#pick(['Color', 'Point', 'Tree'])}` };
      case 'object':
        return this.#object(depth);
      case 'map':
        return {
          type: 'object',
          additionalProperties: this.#chance(0.3) ? false : this.#any(depth + 1),
        };
      case 'array': {
        const min = this.#random.integer(0, 2);
        return {
          type: 'array',
          items: this.#any(depth + 1),
          ...(this.#chance(0.5) && { minItems: min }),
          maxItems: min + this.#random.integer(0, 2),
        };
      }
      case 'tuple':
        return {
          type: 'array',
          prefixItems: [this.#any(depth + 1), this.#any(depth + 1)],
          ...(this.#chance(0.5) && { items: false }),
        };
      case 'anyOf':
        return { anyOf: [this.#any(depth + 1), this.#any(depth + 1)] };
      case 'oneOf':
        return {
          oneOf: ['cat', 'dog'].map((animal) => ({
            type: 'object',
            properties: { kind: { const: animal }, more: this.#any(depth + 1) },
            required: ['kind', 'more'],
          })),
        };
      case 'allOf':
        return {
          allOf: [
            { type: 'object', properties: { left: this.#any(depth + 1) }, required: ['left'] },
            { type: 'object', properties: { right: this.#any(depth + 1) } },
          ],
        };
      default:
        throw new Error(`no schema of kind ${kind}`);
    }
  }

  #integer(): JsonSchema {
    const low = this.#random.integer(-1200, 1200);
    const high = low + this.#random.integer(0, 3000);
    return {
      type: 'integer',
      ...(this.#chance(0.7) && { [this.#pick(['minimum', 'exclusiveMinimum'])]: low }),
      ...(this.#chance(0.7) && { [this.#pick(['maximum', 'exclusiveMaximum'])]: high + 3 }),
    };
  }

  #bounds(): JsonSchema {
    const low = this.#pick([-1000.5, -1, 0, 0.001, 12.25]);
    const high = low + this.#pick([0.5, 1, 99.75, 1e6]);
    return {
      type: 'number',
      ...(this.#chance(0.8) && { [this.#pick(['minimum', 'exclusiveMinimum'])]: low }),
      ...(this.#chance(0.8) && { [this.#pick(['maximum', 'exclusiveMaximum'])]: high }),
    };
  }

  #object(depth: number): JsonSchema {
    const listed = this.#some(names, this.#random.integer(0, 4));
    const required = this.#some(listed, this.#random.integer(0, listed.length));
    return {
      type: 'object',
      properties: Object.fromEntries(listed.map((name) => [name, this.#any(depth + 1)])),
      ...(this.#chance(0.9) && { required }),
      ...(this.#chance(0.4) && {
        additionalProperties: this.#chance(0.7) ? false : { type: 'null' },
      }),
    };
  }
}
