/** Defaults of engine settings that depend on the machine: compute threads and the interval of streams. */
import type { Llama } from 'node-llama-cpp';
import type { EngineConfig } from '../config/config.ts';
import { computeThreadCount, usableCoreCount } from './machine.ts';

/** The setting, else one thread for each core that computes well and is not needed elsewhere. */
export function threadCountOf(
  { threadCount, processors }: Pick<EngineConfig, 'threadCount' | 'processors'>,
  mathCoreCount: number,
): number {
  if (threadCount > 0) return threadCount;
  const granted = computeThreadCount(usableCoreCount());
  return Math.max(1, Math.min(mathCoreCount, granted, processors?.length ?? granted));
}

/**
 * The setting, else a few milliseconds where the CPU computes. Threads that sleep after each step take as long to wake as
 * a small model's step when there are many of them, and 2 % of it when there are two. While a GPU computes, polling would
 * waste a core.
 */
export function threadPollOf(
  { threadPoll }: Pick<EngineConfig, 'threadPoll'>,
  gpu: Llama['gpu'],
): number {
  return threadPoll ?? (gpu === false ? 1 : 0);
}

/** The duration of a frame of a display: no reader sees a faster stream. */
const frameMs = 16;

/**
 * The setting, else the duration of a frame where every core computes: sending a token takes one of the cores for up to a
 * tenth of a small model's step, and all other compute threads wait for it.
 */
export function streamIntervalOf(
  { streamIntervalMs }: Pick<EngineConfig, 'streamIntervalMs'>,
  gpu: Llama['gpu'],
  threadCount: number,
  coreCount = usableCoreCount(),
): number {
  return streamIntervalMs ?? (gpu === false && threadCount >= coreCount ? frameMs : 0);
}
