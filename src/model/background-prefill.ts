/** The memory of background prefill, and where it helps (`native/src/engine/background_runner.h`). */
import type { EngineConfig } from '../config/config.ts';
import type { NativeLimits } from '../engine/addon.ts';
import type { ContextShape } from './fit.ts';
import { isUnified } from './memory-estimate.ts';

/** Length of the context whose memory is compared with that of a long one, in tokens. */
const shortLength = 256;

/**
 * True where background prefill is on and helps: several slots that do not share one cache.
 * @param hasOwnAttention - {@link computesOwnAttention}; unless the setting says otherwise, there is no need for it then
 */
export function wantsBackgroundPrefill(
  shape: ContextShape,
  engine: Pick<EngineConfig, 'backgroundPrefill' | 'kvLayout'>,
  hasOwnAttention: boolean,
): boolean {
  const { backgroundPrefill = !hasOwnAttention, kvLayout } = engine;
  return backgroundPrefill && !isUnified(shape, kvLayout) && shape.slotCount > 1;
}

/**
 * True if the CPU's attention is computed by this project's kernels, with which small pieces of a prompt cost little
 * more than large ones (`native/src/kernels/attention_traits.h`).
 * @param hasKernels - the kernels are installed
 */
export function computesOwnAttention(
  engine: Pick<EngineConfig, 'flashAttention' | 'cacheTypeK' | 'cacheTypeV'>,
  hasKernels: boolean,
): boolean {
  const { flashAttention, cacheTypeK, cacheTypeV } = engine;
  return hasKernels && flashAttention !== 'off' && cacheTypeK === 'f16' && cacheTypeV === 'f16';
}

/**
 * Bytes of the background context beside slots of `contextLength` tokens, including the buffer that moves computed cells.
 * The context has the cells that fit the buffer, or those of a whole context where positions depend on its length.
 * @param estimate - bytes of a context of so many tokens
 */
export async function backgroundPrefillBytes(
  contextLength: number,
  isWhole: boolean,
  { maxMovedBytes }: Pick<NativeLimits, 'maxMovedBytes'>,
  estimate: (tokenCount: number) => Promise<number>,
): Promise<number> {
  const longBytes = await estimate(contextLength);
  if (contextLength <= shortLength) return 2 * longBytes;
  const shortBytes = await estimate(shortLength);
  const tokenBytes = (longBytes - shortBytes) / (contextLength - shortLength);
  const movable = Math.min(contextLength, maxMovedBytes / tokenBytes);
  const length = isWhole ? contextLength : Math.max(movable, shortLength);
  return Math.ceil(shortBytes + (length - shortLength + movable) * tokenBytes);
}
