import type { SettingValues } from './table.ts';

/** What is logged, and where to. */
export interface LogConfig {
  readonly level: SettingValues['LOG_LEVEL'];
  readonly format: SettingValues['LOG_FORMAT'];
  /** A line for every request. */
  readonly access: boolean;
  /** Undefined: no files. */
  readonly files: LogFilesConfig | undefined;
}

/** Log files. Names are parts of paths and hold nothing but letters, digits, `_`, `-` and `.`. */
export interface LogFilesConfig {
  readonly folder: string;
  /** Folder of the server log in it. */
  readonly name: string;
  /** This server's part of file names. */
  readonly instance: string;
  /** 0: never rotated. */
  readonly maxBytes: number;
  readonly maxFiles: number;
}

/** Names and limits of the files in a folder, from the settings and the machine's name. */
export function logFilesIn(
  folder: string,
  values: SettingValues,
  env: Readonly<Record<string, string | undefined>>,
): LogFilesConfig {
  const { WORKER_TYPE: workerType, INSTANCE_ID: instanceId } = values;
  return {
    folder,
    name: pathPart(workerType === undefined ? values.LOG_NAME : `llama-${workerType}`),
    instance: pathPart(instanceId ?? (env.HOSTNAME || 'unknown')),
    maxBytes: values.LOG_MAX_SIZE,
    maxFiles: values.LOG_MAX_FILES,
  };
}

/** One harmless part of a path; no text of the environment leads out of its folder. */
function pathPart(text: string): string {
  const cleaned = text.replace(/[^A-Za-z0-9_.-]/g, '_');
  return /^\.+$/.test(cleaned) ? cleaned.replaceAll('.', '_') : cleaned;
}
