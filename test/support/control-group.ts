/** A limit that the kernel sets for a process, as containers have it, where this test may set one. */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { controlGroups } from '../../src/model/machine.ts';

/** Files that set a limit, in both versions of control groups. */
const files = {
  memory: { v1: 'memory.limit_in_bytes', v2: 'memory.max' },
  cpu: { v1: 'cpu.cfs_quota_us', v2: 'cpu.max' },
} as const;

/** Microseconds over which a quota of cores is counted. */
const periodUs = 100_000;

export class ControlGroup {
  readonly #folder: string;
  readonly #isUnified: boolean;

  private constructor(folder: string, isUnified: boolean) {
    this.#folder = folder;
    this.#isUnified = isUnified;
  }

  /** A group whose processes have so many bytes together; undefined where none can be made. */
  static ofMemory(bytes: number): ControlGroup | undefined {
    return ControlGroup.#make('memory', () => String(bytes));
  }

  /** A group whose processes may use so many cores together; undefined where none can be made. */
  static ofCores(count: number): ControlGroup | undefined {
    const quota = String(count * periodUs);
    return ControlGroup.#make('cpu', (isUnified) => (isUnified ? `${quota} ${periodUs}` : quota));
  }

  static #make(
    controller: keyof typeof files,
    limit: (isUnified: boolean) => string,
  ): ControlGroup | undefined {
    // Version 2 limits no group inside one that has processes of its own; one further out may do.
    for (const { folder: parent, isUnified } of controlGroups(controller)) {
      const folder = join(parent, `lgi-test-${process.pid}-${controller}`);
      try {
        mkdirSync(folder);
      } catch {
        continue;
      }
      try {
        const file = files[controller][isUnified ? 'v2' : 'v1'];
        writeFileSync(join(folder, file), limit(isUnified));
        return new ControlGroup(folder, isUnified);
      } catch {
        rmdirSync(folder);
      }
    }
    return undefined;
  }

  /** Moves a process into the group; its later children begin in it. */
  add(pid: number): void {
    writeFileSync(join(this.#folder, 'cgroup.procs'), String(pid));
  }

  /** Processes that the kernel has killed because the group needed more memory than it has. */
  get killedCount(): number {
    const file = this.#isUnified ? 'memory.events' : 'memory.oom_control';
    const text = readFileSync(join(this.#folder, file), 'utf8');
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1]);
  }

  /** Memory of its processes without the page cache of files. */
  get usedBytes(): number {
    const text = readFileSync(join(this.#folder, 'memory.stat'), 'utf8');
    const name = this.#isUnified ? 'anon' : 'total_rss';
    return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]);
  }

  /** When all of its processes have ended. */
  remove(): void {
    rmdirSync(this.#folder);
  }
}
