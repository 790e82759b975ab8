/** What a context for long prompts takes, and where one is of use (`native/src/llama/prompt_lane.h`). */
import type { EngineConfig } from '../config/config.ts';
import type { NativeLimits } from '../engine/addon.ts';
import type { ContextShape } from './fit.ts';

/** Length of a context whose memory is compared with that of a long one. */
const shortLength = 256;

/** Whether a lane is of use: the slots do not share one cache. */
export function wantsPromptLane(
  { slotCount, contextLength, kvTokenCount }: ContextShape,
  { backgroundPrefill, kvLayout }: Pick<EngineConfig, 'backgroundPrefill' | 'kvLayout'>,
): boolean {
  const hasParts = kvLayout !== 'unified' && kvTokenCount >= slotCount * contextLength;
  return backgroundPrefill && hasParts && slotCount > 1;
}

/**
 * Bytes of a lane beside slots of `contextLength` tokens, with the buffer for moving what it has computed. It has cells
 * for what fits the buffer, or for a whole context where a position means another thing in a shorter one.
 * @param estimate - bytes of a context of so many tokens
 */
export async function laneBytes(
  contextLength: number,
  isWhole: boolean,
  { maxMovedBytes }: Pick<NativeLimits, 'maxMovedBytes'>,
  estimate: (tokenCount: number) => Promise<number>,
): Promise<number> {
  const longest = await estimate(contextLength);
  if (contextLength <= shortLength) return 2 * longest;
  const shortest = await estimate(shortLength);
  const tokenBytes = (longest - shortest) / (contextLength - shortLength);
  const movable = Math.min(contextLength, maxMovedBytes / tokenBytes);
  const length = isWhole ? contextLength : Math.max(movable, shortLength);
  return Math.ceil(shortest + (length - shortLength + movable) * tokenBytes);
}
