/** The options of the log. */

/** Levels of {@link LogSettings}, by increasing severity. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** `text` is for people, `json` for collectors. */
export const logFormats = ['text', 'json'] as const;

export interface LogSettings {
  /** The least severe level that is logged. */
  readonly level: (typeof logLevels)[number];
  readonly format: (typeof logFormats)[number];
  /** Undefined: standard error only. */
  readonly files: LogFilesSettings | undefined;
}

/** Log files. Names are parts of paths and consist of letters, digits, `_`, `-` and `.`. */
export interface LogFilesSettings {
  readonly folder: string;
  /** Subfolder of the server log. */
  readonly name: string;
  /** This server's part of file names. */
  readonly instance: string;
  /** 0: files are never rotated. */
  readonly maxBytes: number;
  readonly maxFiles: number;
}
