import type { LogFilesSettings } from '../log/log-settings.ts';
import type { SettingValues } from './table.ts';

/** Names and limits of the files in a folder, from the settings and the machine's name. */
export function logFilesIn(
  folder: string,
  values: SettingValues,
  env: Readonly<Record<string, string | undefined>>,
): LogFilesSettings {
  const { WORKER_TYPE: workerType } = values;
  return {
    folder,
    name: pathPart(workerType === undefined ? values.LOG_NAME : `llama-${workerType}`),
    instance: instanceName(values, env),
    maxBytes: values.LOG_MAX_SIZE,
    maxFiles: values.LOG_MAX_FILES,
  };
}

/** This server's part of file names, in a folder that several may share. */
export function instanceName(
  { INSTANCE_ID: instanceId }: SettingValues,
  env: Readonly<Record<string, string | undefined>>,
): string {
  return pathPart(instanceId ?? (env.HOSTNAME || 'unknown'));
}

/** One harmless part of a path; no text of the environment leads out of its folder. */
function pathPart(text: string): string {
  const cleaned = text.replace(/[^A-Za-z0-9_.-]/g, '_');
  return /^\.+$/.test(cleaned) ? cleaned.replaceAll('.', '_') : cleaned;
}
