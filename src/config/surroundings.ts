/** What the defaults of a server depend on beside its settings. */
import { join } from 'node:path';
import type { Environment } from './sources.ts';

/** Files that container engines put into every container. */
const containerFiles = ['/.dockerenv', '/run/.containerenv'];
/** Variables of Kubernetes, of systemd-nspawn and Podman, and of the platforms that rent GPUs. */
const containerNames = [
  'KUBERNETES_SERVICE_HOST',
  'container',
  'RUNPOD_POD_ID',
  'VAST_CONTAINERLABEL',
];

export function isContainer(env: Environment, pathExists: (path: string) => boolean): boolean {
  return containerNames.some((name) => env[name]) || containerFiles.some(pathExists);
}

/**
 * The address to listen on where none is set. A container is reached through ports that somebody has published; any other
 * machine is open to its network only once there are keys.
 */
export function defaultHost(surroundings: {
  readonly isContainer: boolean;
  readonly hasKeys: boolean;
}): string {
  return surroundings.isContainer || surroundings.hasKeys ? '0.0.0.0' : '127.0.0.1';
}

/** The data folder where none of the usual ones is there: a container's, or the user's own. */
export function ownDataFolder(env: Environment, inContainer: boolean): string {
  if (inContainer || !env.HOME) return '/data';
  return join(env.XDG_DATA_HOME || join(env.HOME, '.local/share'), 'llama-gguf-inference');
}
