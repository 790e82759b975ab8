import { SchemaProblems } from '../src/grammar/problem.ts';
import { type EnforceableSchema, enforceableSchema, relaxedSchema } from '../src/grammar/schema.ts';
import { annotationKeywords, type SchemaExample, schemaExamples } from './schema-examples.ts';

/** What becomes of a keyword, as the tables say it. */
export type Treatment = 'enforced' | 'tightened' | 'annotation' | 'left out' | `refused: ${string}`;

type Schema = Readonly<Record<string, unknown>>;

/** The places where a schema may stand; the tables hold for all of them. */
export const positions: Readonly<Record<string, (schema: Schema) => Schema>> = {
  'at the top': (schema) => schema,
  'in a property': (schema) =>
    within({ type: 'object', additionalProperties: false }, schema, (at) => ({
      properties: { x: at },
    })),
  'in items': (schema) => within({ type: 'array', maxItems: 3 }, schema, (at) => ({ items: at })),
  'in an alternative': (schema) => within({}, schema, (at) => ({ anyOf: [at, { const: 'none' }] })),
  'behind a reference': (schema) =>
    within({}, schema, (at) => ({ $ref: '#/$defs/here', $defs: { here: at } })),
};

/** Definitions stay at the top, where references look for them. */
function within(outer: Schema, schema: Schema, place: (schema: Schema) => Schema): Schema {
  const { $defs, ...inner } = schema;
  const placed = { ...outer, ...place(inner) } as { $defs?: object };
  return $defs === undefined ? placed : { ...placed, $defs: { ...placed.$defs, ...$defs } };
}

/** What becomes of an example's keyword in a strict schema, or in one that is not. */
export function treatmentOf(
  { keyword, schema }: SchemaExample,
  strict: boolean,
  position: keyof typeof positions = 'at the top',
): Treatment {
  const placed = positions[position]?.(schema) ?? schema;
  try {
    const { effects } = strict ? enforceableSchema(placed) : relaxedSchema(placed, 'value');
    return treatmentIn(effects, keyword, strict);
  } catch (error) {
    if (!(error instanceof SchemaProblems)) throw error;
    return `refused: ${error.message}`;
  }
}

function treatmentIn(
  { tightened, ignored }: EnforceableSchema['effects'],
  keyword: string,
  strict: boolean,
): Treatment {
  // The path of a pattern's schema ends with the pattern.
  const has = (paths: readonly string[]) =>
    paths.some(
      (path) =>
        path.split('.').at(-1) === keyword ||
        (keyword === 'patternProperties' && path.includes(keyword)),
    );
  if (has(ignored)) return strict || keyword === 'format' ? 'annotation' : 'left out';
  return has(tightened) ? 'tightened' : 'enforced';
}

/**
 * The page with its tables written anew; everything between the tables stays.
 * @throws {Error} when the page has another number of tables
 */
export function withSchemaTables(page: string): string {
  const table = /^\| Keyword \|.*\n(?:\|.*\n)*/gm;
  const foundCount = page.match(table)?.length ?? 0;
  if (foundCount !== schemaExamples.length) {
    throw new Error(`expected ${schemaExamples.length} tables of keywords, found ${foundCount}`);
  }
  let index = 0;
  const written = page.replace(table, () => {
    const rows = (schemaExamples[index]?.[1] ?? []).map(row);
    index += 1;
    return `| Keyword | Use | Example | \`strict: true\` | otherwise |\n| --- | --- | --- | --- | --- |\n${rows.join('\n')}\n`;
  });
  const names = annotationKeywords.map((keyword) => `\`${keyword}\``).join(', ');
  return written.replace(/^Annotations: .*$/m, `Annotations: ${names}.`);
}

function row(example: SchemaExample): string {
  const text = JSON.stringify(example.schema);
  const shown = text.length > 160 ? `${text.slice(0, 150)} …` : text;
  const cells = [
    `\`${example.keyword}\``,
    example.use,
    `\`${shown}\``,
    treatmentOf(example, true),
    treatmentOf(example, false),
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
