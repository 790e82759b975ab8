import { type Static, Type } from 'typebox';

/** The result of `POST /reload`. */
export const Reload = Type.Object({
  status: Type.Literal('ok'),
  keys_loaded: Type.Integer(),
  /** Skipped lines of the key file; absent when there are none. */
  skipped: Type.Optional(Type.Array(Type.Object({ line: Type.Integer(), reason: Type.String() }))),
});
export type Reload = Static<typeof Reload>;
