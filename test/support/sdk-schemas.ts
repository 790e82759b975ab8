/** JSON schemas as libraries write them: zod 4, zod 3, TypeBox and Pydantic. */
import { readFileSync } from 'node:fs';
import * as legacy from '@sinclair/typebox';
import { Type } from 'typebox';
import * as z from 'zod';
import { zodToJsonSchema } from 'zod-to-json-schema';
import { z as z3 } from 'zod3';

type Schemas = ReadonlyMap<string, object>;

/** As TypeScript compiles an enum of numbers. */
const Level = { Low: 1, High: 2, 1: 'Low', 2: 'High' } as const;

const person = z.object({ name: z.string(), age: z.number().min(0).max(150).optional() });
const category: z.ZodType = z.object({
  name: z.string(),
  get children() {
    return z.array(category);
  },
});

/** Exports that make a schema of arguments; all other functions are called without any. */
const zodSamples: Readonly<Record<string, () => z.core.$ZodType>> = {
  array: () => z.array(z.int()).min(1).max(600),
  catch: () => z.catch(z.string(), 'x'),
  check: () => z.string().check(z.minLength(2)),
  codec: () => z.codec(z.iso.datetime(), z.iso.datetime(), { decode: (x) => x, encode: (x) => x }),
  deepPartial: () => z.object({ a: person }).partial(),
  describe: () => z.string().describe('some text'),
  discriminatedUnion: () =>
    z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('cat'), lives: z.int().min(0).max(9) }),
      z.object({ kind: z.literal('dog'), name: z.string().min(1) }),
    ]),
  endsWith: () => z.string().endsWith('.ts'),
  enum: () => z.enum(['red', 'green']),
  exactOptional: () => z.object({ a: z.exactOptional(z.string()) }),
  gt: () => z.number().gt(0),
  gte: () => z.number().gte(-0.5),
  hash: () => z.hash('sha256'),
  includes: () => z.string().includes('needle'),
  intersection: () => z.intersection(person, z.object({ role: z.enum(['a', 'b']) })),
  invertCodec: () => z.codec(z.string(), z.string(), { decode: (x) => x, encode: (x) => x }),
  keyof: () => z.keyof(person),
  lazy: () => category,
  length: () => z.string().length(5),
  literal: () => z.literal(['a', 1, true, null]),
  looseObject: () => z.looseObject({ a: z.string() }),
  looseRecord: () => z.looseRecord(z.string().regex(/^x-/), z.number()),
  lowercase: () => z.string().lowercase(),
  lt: () => z.number().lt(1e9),
  lte: () => z.number().lte(99.99),
  maxLength: () => z.string().max(2083),
  meta: () => z.string().meta({ title: 'T', examples: ['x'] }),
  minLength: () => z.string().min(3),
  multipleOf: () => z.number().multipleOf(5),
  nativeEnum: () => z.nativeEnum(Level),
  negative: () => z.number().negative(),
  nonnegative: () => z.number().nonnegative(),
  nonoptional: () => z.nonoptional(z.string().optional()),
  nonpositive: () => z.number().nonpositive(),
  normalize: () => z.string().normalize(),
  nullable: () => z.nullable(z.int()),
  nullish: () => z.nullish(z.string()),
  number: () => z.number().min(0).max(1),
  object: () => person,
  optional: () => z.optional(z.string()),
  overwrite: () => z.string().trim(),
  partialRecord: () => z.partialRecord(z.enum(['a', 'b']), z.int()),
  pipe: () => z.pipe(z.string(), z.string().max(3)),
  positive: () => z.number().positive(),
  prefault: () => z.prefault(z.string(), 'x'),
  preprocess: () => z.preprocess((value) => value, z.string()),
  property: () => z.object({ length: z.int() }),
  readonly: () => z.readonly(z.array(z.string())),
  record: () => z.record(z.string().min(1).max(9), z.number()),
  refine: () => z.string().refine(() => true),
  regex: () => z.string().regex(/^[A-Z]{2,3}-\d+$/),
  startsWith: () => z.string().startsWith('https://'),
  strictObject: () => z.strictObject({ a: z.string().nullable(), b: z.uuid() }),
  string: () => z.string().min(1).max(40),
  stringFormat: () => z.stringFormat('code', /^\d{3}$/),
  stringbool: () => z.stringbool(),
  superRefine: () => z.string().superRefine(() => {}),
  templateLiteral: () => z.templateLiteral(['v', z.number(), '-', z.enum(['a', 'b'])]),
  tuple: () => z.tuple([z.string(), z.int()]).rest(z.boolean()),
  union: () => z.union([z.string(), z.int(), z.array(z.null())]),
  uppercase: () => z.string().uppercase(),
  xor: () => z.xor([z.object({ a: z.string() }), z.object({ b: z.int() })]),
  'iso.datetime of seconds': () => z.iso.datetime({ offset: true, precision: 0 }),
  'iso.time of minutes': () => z.iso.time({ precision: -1 }),
  'coerce.number': () => z.coerce.number().int().min(1),
  'string with a format and lengths': () => z.email().min(6).max(40),
  'string of two patterns': () =>
    z
      .string()
      .regex(/^[a-z]+$/)
      .regex(/^.{2,5}$/),
  'record of records': () => z.record(z.enum(['x', 'y']), z.record(z.string(), z.iso.date())),
  'object of everything': () =>
    z.object({
      id: z.uuid(),
      when: z.iso.datetime(),
      rate: z.number().min(0).max(1),
      count: z.int().positive(),
      tags: z.array(z.string().max(20)).max(10).default([]),
      site: z.url().optional(),
      child: category.nullable(),
    }),
};

/** Functions of zod whose result is no schema, or that need another schema to do anything. */
const noSchemas =
  /^(clone|compile|config|decode|encode|parse|safe|format|flatten|treeify|prettify|toJSONSchema|toZod|fromJSONSchema|getErrorMap|setErrorMap|getDiscriminatedOption|validate|withParser|registry|memoizer|mime|(min|max)?[sS]ize|output|input|trim|toLowerCase|toUpperCase|slugify|instanceof|set$|map$|promise|function|success|transform|file)/;

/** One schema for each export of zod 4 that `z.toJSONSchema` takes, and the exports that it does not take. */
export function zodSchemas(): { readonly schemas: Schemas; readonly left: readonly string[] } {
  const schemas = new Map<string, object>();
  const left: string[] = [];
  const exported: readonly (readonly [string, unknown])[] = [
    ...Object.entries(z),
    ...Object.entries(z.iso)
      .filter(([name]) => !name.startsWith('Zod'))
      .map(([name, make]) => [`iso.${name}`, make] as const),
    ...Object.entries(zodSamples).filter(([name]) => !(name in z)),
  ];
  for (const [name, make] of exported) {
    if (typeof make !== 'function' || !/^([a-z]|iso\.[a-z])/.test(name)) continue;
    if (noSchemas.test(name) && !(name in zodSamples)) continue;
    try {
      const schema = (zodSamples[name] ?? make)();
      for (const io of ['output', 'input'] as const) {
        schemas.set(`${name} (${io})`, z.toJSONSchema(schema, { io }));
      }
    } catch {
      left.push(name);
    }
  }
  return { schemas, left };
}

/** zod 3, through zod-to-json-schema. */
export function zod3Schemas(): Schemas {
  const tree: z3.ZodType = z3.lazy(() => z3.object({ value: z3.number(), next: tree.optional() }));
  const samples = {
    string: z3.string().min(1).max(99),
    email: z3.string().email(),
    url: z3.string().url(),
    uuid: z3.string().uuid(),
    cuid: z3.string().cuid(),
    cuid2: z3.string().cuid2(),
    ulid: z3.string().ulid(),
    nanoid: z3.string().nanoid(),
    emoji: z3.string().emoji(),
    ip: z3.string().ip(),
    cidr: z3.string().cidr(),
    base64: z3.string().base64(),
    base64url: z3.string().base64url(),
    jwt: z3.string().jwt(),
    date: z3.string().date(),
    time: z3.string().time(),
    datetime: z3.string().datetime({ offset: true }),
    duration: z3.string().duration(),
    regex: z3.string().regex(/^(?=.*\d)[a-z\d]+$/i),
    includes: z3.string().includes('a').startsWith('b').endsWith('c'),
    int: z3.number().int().min(1).max(10),
    number: z3.number().gt(0).lt(1).multipleOf(0.05),
    finite: z3.number().finite().safe(),
    bigint: z3.bigint().positive(),
    boolean: z3.boolean(),
    null: z3.null(),
    any: z3.any(),
    unknown: z3.unknown(),
    never: z3.object({ a: z3.never().optional(), b: z3.string() }),
    Date: z3.date(),
    array: z3.array(z3.string()).nonempty().max(1000),
    tuple: z3.tuple([z3.string(), z3.number()]).rest(z3.boolean()),
    set: z3.set(z3.enum(['a', 'b', 'c'])),
    map: z3.map(z3.string(), z3.number()),
    record: z3.record(z3.number().int()),
    'record of names': z3.record(z3.enum(['a', 'b']), z3.string()),
    'record of patterns': z3.record(z3.string().regex(/^x-/), z3.string()),
    object: z3.object({ a: z3.string().optional(), b: z3.number().nullable() }),
    strict: z3.object({ a: z3.string().default('x') }).strict(),
    passthrough: z3.object({ a: z3.string() }).passthrough(),
    catchall: z3.object({ a: z3.string() }).catchall(z3.number()),
    literal: z3.literal('x'),
    enum: z3.enum(['x', 'y']),
    nativeEnum: z3.nativeEnum(Level),
    union: z3.union([z3.string(), z3.number(), z3.null()]),
    discriminated: z3.discriminatedUnion('t', [
      z3.object({ t: z3.literal('a'), x: z3.number() }),
      z3.object({ t: z3.literal('b') }),
    ]),
    intersection: z3.object({ a: z3.string() }).and(z3.object({ b: z3.number() })),
    lazy: tree,
    nullable: z3.string().nullable(),
    readonly: z3.array(z3.string()).readonly(),
    branded: z3.string().brand<'id'>(),
    effects: z3.string().transform((text) => text.length),
    pipeline: z3.string().pipe(z3.string().max(5)),
    catch: z3.number().catch(1),
  };
  const targets = ['jsonSchema7', 'jsonSchema2019-09', 'openApi3', 'openAi'] as const;
  return new Map(
    Object.entries(samples).flatMap(([name, schema]) =>
      targets.map((target) => {
        const { $schema: _, ...written } = zodToJsonSchema(schema as never, { target }) as Record<
          string,
          unknown
        >;
        // Bounds of a bigint are bigints.
        const text = JSON.stringify(written, (_key, value) =>
          typeof value === 'bigint' ? Number(value) : value,
        );
        return [`${name} (${target})`, JSON.parse(text) as object] as const;
      }),
    ),
  );
}

export function typeboxSchemas(): Schemas {
  const T = legacy.Type;
  const samples: Readonly<Record<string, object>> = {
    string: Type.String({ minLength: 1, maxLength: 9 }),
    format: Type.String({ format: 'email' }),
    number: Type.Number({ minimum: 0, exclusiveMaximum: 1 }),
    integer: Type.Integer({ multipleOf: 3 }),
    literal: Type.Literal('a'),
    enum: Type.Enum(['a', 'b']),
    union: Type.Union([Type.Literal('a'), Type.Literal(2), Type.Null()]),
    object: Type.Object({ a: Type.Optional(Type.String()), b: Type.Array(Type.Integer()) }),
    closed: Type.Object({ a: Type.Boolean() }, { additionalProperties: false }),
    counted: Type.Object({}, { minProperties: 1 }),
    record: Type.Record(Type.String(), Type.Number()),
    // biome-ignore lint/suspicious/noTemplateCurlyInString: TypeBox's own syntax.
    'record of patterns': Type.Record(Type.TemplateLiteral('x-${string}'), Type.Number()),
    'record of integers': Type.Record(Type.Integer(), Type.String()),
    tuple: Type.Tuple([Type.String(), Type.Number()]),
    unique: Type.Array(Type.Union([Type.Literal('a'), Type.Literal('b')]), { uniqueItems: true }),
    intersect: Type.Intersect([Type.Object({ a: Type.String() }), Type.Object({ b: Type.Null() })]),
    // biome-ignore lint/suspicious/noTemplateCurlyInString: TypeBox's own syntax.
    template: Type.TemplateLiteral('id-${number}'),
    any: Type.Any(),
    unknown: Type.Unknown(),
    cyclic: Type.Cyclic(
      { Node: Type.Object({ id: Type.String(), nodes: Type.Array(Type.Ref('Node')) }) },
      'Node',
    ),
    unsafe: Type.Unsafe({ type: 'string', nullable: true }),
    'legacy recursive': T.Recursive((self) => T.Object({ id: T.String(), nodes: T.Array(self) })),
    'legacy date': T.Date(),
    'legacy not': T.Object({ a: T.Not(T.String()) }),
    'legacy composite': T.Composite([T.Object({ a: T.Integer() }), T.Object({ b: T.String() })]),
    'legacy contains': T.Array(T.Integer(), { contains: T.Literal(1), minContains: 2 }),
    'legacy regexp': T.RegExp(/^[a-f]+$/),
    'legacy enum': T.Enum(Level),
    'legacy keyof': T.KeyOf(T.Object({ a: T.Null(), b: T.Null() })),
  };
  return new Map(
    Object.entries(samples).map(([name, schema]) => [name, JSON.parse(JSON.stringify(schema))]),
  );
}

/** The schemas of tools/fixtures/pydantic-schemas.py. */
export function pydanticSchemas(): Schemas {
  const path = new URL('pydantic-schemas.json', import.meta.url);
  const { schemas } = JSON.parse(readFileSync(path, 'utf8')) as { schemas: Record<string, object> };
  return new Map(Object.entries(schemas));
}
