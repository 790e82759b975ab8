import type { OpenApiDocument, Operation } from './openapi-document.ts';

const style = `
:root { color-scheme: light dark; --line: #8885; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem 1rem 4rem; }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
h3 { margin: 2rem 0 0; font: 600 1rem ui-monospace, monospace; }
h3 span { text-transform: uppercase; background: var(--soft); padding: 0 .4em; border-radius: .3em; }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); }
code, pre { font: .85rem/1.4 ui-monospace, monospace; }
pre { background: var(--soft); padding: .6rem; overflow-x: auto; }
summary { cursor: pointer; }
`;

/** The parts of a JSON Schema that a row of a table shows. */
interface FieldSchema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly FieldSchema[];
  readonly items?: FieldSchema;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, FieldSchema>>;
  readonly required?: readonly string[];
}

/** The document as one page of HTML without scripts, fonts or pictures. */
export function toDocsPage(document: OpenApiDocument): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const sections = document.tags.map(({ name, description }) => {
    const own = operations.filter(({ operation }) => operation.tags.includes(name));
    const items = own.map((each) => operationHtml(each, document));
    return `<h2>${escaped(name)}</h2><p>${escaped(description)}</p>${items.join('')}`;
  });
  const schemas = Object.entries(document.components.schemas).map(
    ([name, schema]) =>
      `<h3 id="${escaped(name)}">${escaped(name)}</h3>${fieldTable(schema)}${json(schema)}`,
  );
  return (
    `<!doctype html><html lang="en"><head><meta charset="utf-8">` +
    `<meta name="viewport" content="width=device-width, initial-scale=1">` +
    `<title>llama-gguf-inference: API</title><style>${style}</style></head><body>` +
    `<h1>API</h1><p>The same for programs: <a href="/openapi.json">openapi.json</a>.</p>` +
    `${sections.join('')}<h2>Schemas</h2>${schemas.join('')}</body></html>`
  );
}

function operationHtml(
  { path, method, operation }: { path: string; method: string; operation: Operation },
  document: OpenApiDocument,
): string {
  const { operationId, summary, description, parameters = [], requestBody, responses } = operation;
  const rows = parameters.map(({ name, in: place, description: text }) => [
    code(name),
    escaped(place),
    withCode(text),
  ]);
  const body = requestBody?.content['application/json'];
  const errors = Object.entries(responses)
    .filter(([status]) => status !== '200')
    .map(([status, response]) => [escaped(status), withCode(response.description)]);
  return [
    `<h3 id="${escaped(operationId)}"><span>${escaped(method)}</span> ${escaped(path)}</h3>`,
    `<p>${withCode(summary)}. ${withCode(description ?? '')}</p>`,
    rows.length > 0 ? table(['parameter', 'in', ''], rows) : '',
    body === undefined ? '' : `<p>Body: ${schemaLink(body.schema)}</p>${example(body.example)}`,
    replyHtml(responses['200']?.content),
    `<details><summary>Errors</summary>${table(['status', 'codes'], errors)}</details>`,
    body === undefined ? '' : fieldDetails(body.schema, document),
  ].join('');
}

function replyHtml(content: NonNullable<Operation['responses'][string]['content']> = {}): string {
  return Object.entries(content)
    .map(([mediaType, { schema, example: sample }]) => {
      const { contentSchema } = schema as { readonly contentSchema?: object };
      const link = schemaLink(contentSchema ?? schema);
      return `<p>Reply: ${code(mediaType)} ${link}</p>${example(sample)}`;
    })
    .join('');
}

function fieldDetails(schema: object, document: OpenApiDocument): string {
  const named = document.components.schemas[nameOf(schema) ?? ''];
  return named === undefined
    ? ''
    : `<details><summary>Fields</summary>${fieldTable(named)}</details>`;
}

function fieldTable(schema: FieldSchema): string {
  const fields = Object.entries(schema.properties ?? {});
  if (fields.length === 0) return '';
  const rows = fields.map(([name, field]) => [
    code(name),
    escaped(typeOf(field)),
    schema.required?.includes(name) ? 'required' : '',
  ]);
  return table(['field', 'value', ''], rows);
}

/** "integer or null, 1 to 128". */
function typeOf(schema: FieldSchema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined)
    return schema.enum.map((value) => JSON.stringify(value)).join(', ');
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(' or ');
  const { items, minimum, exclusiveMinimum, maximum, maxItems } = schema;
  const names = [schema.type ?? 'any'].flat().join(' or ');
  const inner = items === undefined ? '' : ` of ${typeOf(items)}`;
  const bounds = [
    minimum === undefined ? '' : `from ${minimum}`,
    exclusiveMinimum === undefined ? '' : `above ${exclusiveMinimum}`,
    maximum === undefined ? '' : `to ${maximum}`,
    maxItems === undefined ? '' : `at most ${maxItems} items`,
  ].filter((bound) => bound !== '');
  return bounds.length === 0 ? names + inner : `${names}${inner}, ${bounds.join(' ')}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (tag: string, row: readonly string[]) =>
    row.map((cell) => `<${tag}>${cell}</${tag}>`).join('');
  const body = rows.map((row) => `<tr>${cells('td', row)}</tr>`).join('');
  return `<table><tr>${cells('th', head)}</tr>${body}</table>`;
}

function schemaLink(schema: object): string {
  const name = nameOf(schema);
  return name === undefined ? '' : `<a href="#${escaped(name)}">${escaped(name)}</a>`;
}

function nameOf(schema: object): string | undefined {
  const { $ref } = schema as { readonly $ref?: string };
  return $ref?.split('/').at(-1);
}

function example(value: object | undefined): string {
  return value === undefined ? '' : `<pre>${escaped(JSON.stringify(value, null, 2))}</pre>`;
}

function json(schema: object): string {
  return `<details><summary>JSON Schema</summary>${example(schema)}</details>`;
}

function code(text: string): string {
  return `<code>${escaped(text)}</code>`;
}

/** Text with `code` in backticks. */
function withCode(text: string): string {
  return escaped(text).replace(/`([^`]+)`/g, '<code>$1</code>');
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}
