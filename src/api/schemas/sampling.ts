import { type Static, Type } from 'typebox';
import type { SamplingParams } from '../../engine/engine.ts';
import { optional } from './optional.ts';

/** What a request may say about the choice of tokens, the same for every endpoint that generates. */
export const samplingFields = {
  temperature: optional(Type.Number({ minimum: 0, maximum: 2 })),
  top_p: optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
  // Signed or unsigned; a JSON number above 2^53 arrives rounded, at most to 2^64.
  seed: optional(Type.Integer({ format: 'int64', minimum: -(2 ** 63), maximum: 2 ** 64 })),
  ignore_eos: optional(Type.Boolean()),
};

const SamplingRequest = Type.Object(samplingFields);
/** The sampling fields of a body that fits its schema. */
export type SamplingRequest = Static<typeof SamplingRequest>;

/** The sampling fields in the engine's words. */
export function readSampling(body: SamplingRequest): SamplingParams {
  return {
    ...(body.temperature != null && { temperature: body.temperature }),
    ...(body.top_p != null && { topP: body.top_p }),
    ...(body.seed != null && { seed: BigInt(body.seed) }),
    ...(body.ignore_eos != null && { ignoreEos: body.ignore_eos }),
  };
}
