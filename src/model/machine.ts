import { readFileSync } from 'node:fs';
import { availableParallelism, freemem } from 'node:os';
import { dirname, join } from 'node:path';

/** Reads one of the kernel's small files; undefined if it does not exist. */
export type ReadSystemFile = (path: string) => string | undefined;

/**
 * Memory available to this process, in bytes: that of the machine, or less where a container limits it. Node's own
 * `availableMemory` counts the page cache of files as used, so after a model was copied into a container it returns
 * almost nothing.
 */
export function availableMemoryBytes(
  read: ReadSystemFile = readSystemFile,
  machineBytes: number = freemem(),
): number {
  const rooms = controlGroups('memory', read).map(({ folder, isUnified }) => {
    const names = isUnified
      ? { limit: 'memory.max', used: 'memory.current', cache: 'inactive_file' }
      : {
          limit: 'memory.limit_in_bytes',
          used: 'memory.usage_in_bytes',
          cache: 'total_inactive_file',
        };
    const limit = Number(read(join(folder, names.limit)));
    const used = Number(read(join(folder, names.used)));
    if (!Number.isFinite(limit) || !Number.isFinite(used)) return Number.POSITIVE_INFINITY;
    const stat = read(join(folder, 'memory.stat')) ?? '';
    const cache = Number(new RegExp(`^${names.cache} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0);
    return Math.max(0, limit - Math.max(0, used - cache));
  });
  return Math.min(machineBytes, ...rooms);
}

/** CPU cores available to this process: those it may run on, or fewer where a container limits it. */
export function usableCoreCount(
  read: ReadSystemFile = readSystemFile,
  machineCount: number = availableParallelism(),
): number {
  const quotas = controlGroups('cpu', read).map(({ folder, isUnified }) => {
    const [quota, period] = isUnified
      ? (read(join(folder, 'cpu.max')) ?? '').split(' ')
      : [read(join(folder, 'cpu.cfs_quota_us')), read(join(folder, 'cpu.cfs_period_us'))];
    const cores = Number(quota) / Number(period);
    return Number.isFinite(cores) && cores > 0 ? cores : Number.POSITIVE_INFINITY;
  });
  return Math.max(1, Math.floor(Math.min(machineCount, ...quotas)));
}

/**
 * Compute threads for a number of cores. The JavaScript thread writes a frame for every token, and while it occupies the
 * core of a compute thread, all other compute threads wait: on 4 and on 16 cores, one thread per core at least halved the
 * speed over HTTP. Two cores are too few to leave one free.
 */
export function computeThreadCount(coreCount: number): number {
  return coreCount <= 2 ? coreCount : coreCount - Math.ceil(coreCount / 8);
}

interface ControlGroup {
  readonly folder: string;
  /** Version 2, where all controllers share one tree. */
  readonly isUnified: boolean;
}

/** Folders of the control groups this process is in, innermost first; empty outside Linux. */
export function controlGroups(
  controller: 'memory' | 'cpu',
  read: ReadSystemFile = readSystemFile,
): ControlGroup[] {
  const lines = (read('/proc/self/cgroup') ?? '').split('\n').filter((line) => line !== '');
  return lines.flatMap((line) => {
    const [, controllers = '', path = '/'] = line.split(':');
    const isUnified = controllers === '';
    if (!isUnified && !controllers.split(',').includes(controller)) return [];
    const root = isUnified ? '/sys/fs/cgroup' : `/sys/fs/cgroup/${controllers}`;
    return ancestors(path).map((folder) => ({ folder: join(root, folder), isUnified }));
  });
}

/** `/a/b` to `/a/b`, `/a`, `/`. */
function ancestors(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [path, ...ancestors(parent)];
}

function readSystemFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}
