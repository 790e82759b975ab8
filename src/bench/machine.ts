import { cpus, totalmem } from 'node:os';

/** The machine on which a benchmark ran. */
export function describeMachine(): Readonly<Record<string, string | number>> {
  const cores = cpus();
  return {
    cpu: cores[0]?.model.trim() ?? 'unknown',
    coreCount: cores.length,
    memoryBytes: totalmem(),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
  };
}
