import { cpus, totalmem } from 'node:os';

/** What the numbers of a benchmark were measured on. */
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
