import { type Static, type TOptional, type TSchema, type TUnsafe, Type } from 'typebox';

/**
 * A field that may be absent or null, with the same meaning, like OpenAI's optional fields. The types form one
 * `type` list instead of an `anyOf`: a list fails with one error that names the expected types, an `anyOf` with one
 * error per branch.
 */
export function optional<Schema extends TSchema>(
  schema: Schema & { readonly type: string },
): TOptional<TUnsafe<Static<Schema> | null>> {
  return Type.Optional(
    Type.Unsafe<Static<Schema> | null>({ ...schema, type: [schema.type, 'null'] }),
  );
}
