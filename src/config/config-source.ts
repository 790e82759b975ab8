import type { ConfigWarning } from './config-warning.ts';

/** The settings of one source, not yet parsed: texts by environment name, aliases under their own name. */
export interface ConfigSource {
  /** Completes "received … from …". */
  readonly label: string;
  readonly texts: ReadonlyMap<string, string>;
  readonly problems: readonly string[];
  readonly warnings: readonly ConfigWarning[];
}
