import { type Static, Type } from 'typebox';

/** What came of `POST /reload`. */
export const Reload = Type.Object({
  status: Type.Literal('ok'),
  keys_loaded: Type.Integer(),
  /** Lines of the key file that were left out; absent when there are none. */
  skipped: Type.Optional(Type.Array(Type.Object({ line: Type.Integer(), reason: Type.String() }))),
});
export type Reload = Static<typeof Reload>;
