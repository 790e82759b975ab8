import { type Static, type TOptional, type TSchema, type TUnsafe, Type } from 'typebox';

/**
 * A field that may be left out, or sent as null with the same meaning, as OpenAI's optional fields may.
 * The types go into one `type` list and not into an `anyOf`: a list fails with one error that says what
 * was expected, an `anyOf` with one per branch.
 */
export function optional<Schema extends TSchema>(
  schema: Schema & { readonly type: string },
): TOptional<TUnsafe<Static<Schema> | null>> {
  return Type.Optional(
    Type.Unsafe<Static<Schema> | null>({ ...schema, type: [schema.type, 'null'] }),
  );
}
