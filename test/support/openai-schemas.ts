import { readFileSync } from 'node:fs';
import Schema from 'typebox/schema';

const path = process.env.OPENAI_SCHEMAS ?? '';

/** Whether `OPENAI_SCHEMAS` names the official API document; it is not part of the project. */
export const hasOpenAiSchemas = path !== '';

/** Checks a value against a schema of the official document, by its name there. */
export function fitsOpenAiSchema(name: string, value: unknown): boolean {
  if (!hasOpenAiSchemas) throw new Error('OPENAI_SCHEMAS is not set');
  const { components } = JSON.parse(readFileSync(path, 'utf8')) as {
    components: { schemas: Record<string, unknown> };
  };
  if (components.schemas[name] === undefined) throw new Error(`there is no schema ${name}`);
  return Schema.Check({ $ref: `#/components/schemas/${name}`, components }, value);
}
