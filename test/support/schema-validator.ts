import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import ajvFormats from 'ajv-formats';

const ajv = new Ajv2020({ strict: false, multipleOfPrecision: 9, logger: false });
ajvFormats.default(ajv);

/** ajv's validator of a schema as a client sent it; undefined for a schema that ajv does not compile. */
export function schemaValidator(schema: object): ValidateFunction | undefined {
  try {
    return ajv.compile(withoutAnnotations(schema) as object);
  } catch {
    return undefined;
  }
}

/** Beside a pattern a format is an annotation, as are formats that no grammar has. */
function withoutAnnotations(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutAnnotations);
  if (typeof schema !== 'object' || schema === null) return schema;
  const { format } = schema as { readonly format?: unknown };
  const isAnnotation = (key: string) =>
    key === '$id' ||
    key === '$schema' ||
    (key === 'format' && ('pattern' in schema || format === 'regex' || format === 'password'));
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key, value]) => !(isAnnotation(key) && typeof value === 'string'))
      .map(([key, value]) => [key, withoutAnnotations(value)]),
  );
}
