import type { ValueKind } from '../core/value-kinds.ts';

/** Groups of the frozen configuration in which a setting may stand. */
type ConfigGroup =
  | 'auth'
  | 'auth.defaultLimits'
  | 'engine'
  | 'engine.samplingDefaults'
  | 'engine.speculative'
  | 'log'
  | 'log.files'
  | 'model'
  | 'server'
  | 'server.limits'
  | 'server.queue'
  | 'server.tls'
  | 'supervision';

/** Place of a setting in the frozen configuration: `engine.stepTargetMs`. */
export type ConfigPath = `${ConfigGroup}.${string}` | 'debugShell' | 'tracesEndpoint';

/** One row of the table: everything there is to say about a setting. */
export interface Setting<
  T = unknown,
  Fallback extends T | undefined = T | undefined,
  At extends ConfigPath | undefined = ConfigPath | undefined,
  None = unknown,
> {
  /** Where its value stands; undefined for a setting from which other values are derived. */
  readonly at: At;
  readonly kind: ValueKind<T>;
  readonly fallback: Fallback;
  /** The default in words, where it is not simply {@link fallback}. */
  readonly fallbackText?: string | undefined;
  /** The value that stands as undefined in the configuration. */
  readonly none?: None | undefined;
  readonly summary: string;
  /** Another name for the same setting; the row's own name wins. */
  readonly alias?: string | undefined;
  /** Its value is never shown. */
  readonly secret?: true | undefined;
}

interface Row<T, At> {
  readonly at?: At;
  readonly kind: ValueKind<T>;
  readonly summary: string;
  readonly alias?: string;
  readonly secret?: true;
}

/** A setting with a default of its own kind. */
export function setting<
  T,
  const At extends ConfigPath | undefined = undefined,
  const None extends T = never,
>(
  row: Row<T, At> & {
    readonly fallback: NoInfer<T>;
    readonly fallbackText?: string;
    readonly none?: None;
  },
): Setting<T, T, At, None>;
/** A setting that is undefined until it is set. */
export function setting<T, const At extends ConfigPath | undefined = undefined>(
  row: Row<T, At> & { readonly fallbackText: string },
): Setting<T, undefined, At, never>;
export function setting<T>(
  row: Row<T, ConfigPath> & { readonly fallback?: T; readonly fallbackText?: string },
): Setting<T> {
  return { ...row, at: row.at, fallback: row.fallback };
}
