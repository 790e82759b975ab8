/** Names of this server in paths that several servers may share. */
import { hostname } from 'node:os';
import type { Environment } from './sources.ts';
import type { SettingValues } from './table.ts';

/** The folder of the server log. */
export function serverLogName({ LOG_NAME, WORKER_TYPE }: SettingValues): string {
  return pathPart(WORKER_TYPE === undefined ? LOG_NAME : `llama-${WORKER_TYPE}`);
}

/** This server's part of the names of its log files and its usage ledger. */
export function instanceName({ INSTANCE_ID }: SettingValues, env: Environment): string {
  return pathPart(INSTANCE_ID ?? (env.HOSTNAME || hostname() || 'unknown'));
}

/** One harmless part of a path: no text of the environment leads out of its folder. */
function pathPart(text: string): string {
  const cleaned = text.replace(/[^A-Za-z0-9_.-]/g, '_');
  return /^\.+$/.test(cleaned) ? cleaned.replaceAll('.', '_') : cleaned;
}
