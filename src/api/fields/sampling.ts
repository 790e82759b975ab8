/**
 * The sampling fields of every endpoint that generates text. A range ends where llama.cpp would silently switch a sampler
 * off, or compute with infinities; no value is clamped, but the look-backs of penalties.
 */
import { randomInt } from 'node:crypto';
import { type Static, Type } from 'typebox';
import type { SamplingParams } from '../../engine/sampling-params.ts';
import { LogitBiasField } from './logit-bias.ts';
import { optional } from './optional.ts';

/** llama.cpp's samplers in their default order, without `infill`, which requires another kind of prompt. */
const samplerNames = [
  'penalties',
  'dry',
  'top_n_sigma',
  'top_k',
  'typ_p',
  'top_p',
  'min_p',
  'xtc',
  'temperature',
  'adaptive_p',
] as const;

/** llama.cpp calls the field `typical_p` and the sampler `typ_p`; clients send either as a sampler. */
const acceptedSamplers = [...samplerNames, 'typical_p'] as const;

/** Tokens that a penalty looks back over at most; llama.cpp allocates memory for all of them. */
const maxLookBack = 65_536;

/** Each breaker is compared with every token of the vocabulary; llama.cpp reads 40 bytes of it at most. */
const maxBreakerCount = 16;

const Share = Type.Number({ minimum: 0, maximum: 1 });
const Penalty = Type.Number({ minimum: -2, maximum: 2 });
// Logits are divided by the penalty and would overflow near 0.
const RepeatPenalty = Type.Number({ minimum: 0.01, maximum: 10 });
// −1 is the whole context.
const LookBack = Type.Integer({ minimum: -1 });
// OpenAI's maximum is 2. Far above it every token is equally likely, and no float overflows.
const Temperature = Type.Number({ minimum: 0, maximum: 100 });

/** The sampling fields, as properties of a request's schema. */
export const samplingFields = {
  temperature: optional(Temperature),
  dynatemp_range: optional(Temperature),
  // The exponent of the entropy, which is 0 to 1; a negative exponent would give infinity.
  dynatemp_exponent: optional(Type.Number({ minimum: 0, maximum: 4 })),
  // 0 keeps the likeliest token.
  top_p: optional(Share),
  // −1 means the whole vocabulary in other servers, like 0 in llama.cpp.
  top_k: optional(Type.Integer({ minimum: -1, maximum: 2 ** 31 - 1 })),
  min_p: optional(Share),
  typical_p: optional(Share),
  min_keep: optional(
    Type.Integer({
      minimum: 0,
      maximum: 2 ** 31 - 1,
      description: 'Tokens that the samplers which cut by probability leave at least.',
    }),
  ),
  // −1 is off.
  top_n_sigma: optional(Type.Number({ minimum: -1, maximum: 100 })),
  xtc_probability: optional(Share),
  xtc_threshold: optional(Share),
  frequency_penalty: optional(Penalty),
  presence_penalty: optional(Penalty),
  repeat_penalty: optional(RepeatPenalty),
  /** vLLM's name of the same field. */
  repetition_penalty: optional(RepeatPenalty),
  repeat_last_n: optional(LookBack),
  dry_multiplier: optional(Type.Number({ minimum: 0, maximum: 100 })),
  // Below 1 llama.cpp would switch the sampler off.
  dry_base: optional(Type.Number({ minimum: 1, maximum: 100 })),
  dry_allowed_length: optional(Type.Integer({ minimum: 0 })),
  dry_penalty_last_n: optional(LookBack),
  dry_sequence_breakers: optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 40 }), { maxItems: maxBreakerCount }),
  ),
  mirostat: Type.Optional(
    Type.Unsafe<0 | 1 | 2 | null>({ type: ['integer', 'null'], enum: [0, 1, 2, null] }),
  ),
  mirostat_tau: optional(Type.Number({ minimum: 0, maximum: 100 })),
  mirostat_eta: optional(Share),
  // Negative is off.
  adaptive_target: optional(Type.Number({ minimum: -1, maximum: 1 })),
  // At 1 the moving average would have infinite weight.
  adaptive_decay: optional(Type.Number({ minimum: 0, maximum: 0.99 })),
  // Signed or unsigned; a JSON number above 2^53 arrives rounded, to 2^64 at most. −1 is random.
  seed: optional(
    Type.Integer({
      format: 'int64',
      minimum: -(2 ** 63),
      maximum: 2 ** 64,
      description:
        'A signed or unsigned 64-bit integer; -1 is random. Above 2^53 it may be rounded: 2^64 is read as 2^64 - 1.',
    }),
  ),
  ignore_eos: optional(Type.Boolean()),
  logit_bias: LogitBiasField,
  samplers: optional(
    Type.Array(Type.Enum([...acceptedSamplers]), { maxItems: acceptedSamplers.length }),
  ),
};

const SamplingRequest = Type.Object(samplingFields);
/** The sampling fields of a body that fits its schema. */
export type SamplingRequest = Static<typeof SamplingRequest>;

/** Fields whose value is passed to the engine unchanged. */
const plainFields = {
  temperature: 'temperature',
  dynatemp_range: 'dynatempRange',
  dynatemp_exponent: 'dynatempExponent',
  top_p: 'topP',
  min_p: 'minP',
  typical_p: 'typicalP',
  min_keep: 'minKeep',
  top_n_sigma: 'topNSigma',
  xtc_probability: 'xtcProbability',
  xtc_threshold: 'xtcThreshold',
  frequency_penalty: 'frequencyPenalty',
  presence_penalty: 'presencePenalty',
  dry_multiplier: 'dryMultiplier',
  dry_base: 'dryBase',
  dry_sequence_breakers: 'drySequenceBreakers',
  mirostat: 'mirostat',
  mirostat_tau: 'mirostatTau',
  mirostat_eta: 'mirostatEta',
  adaptive_target: 'adaptiveTarget',
  adaptive_decay: 'adaptiveDecay',
  ignore_eos: 'ignoreEos',
} as const satisfies Partial<Record<keyof SamplingRequest, keyof SamplingParams>>;

/** Fields that count tokens. */
const lookBackFields = {
  repeat_last_n: 'repeatLastN',
  dry_allowed_length: 'dryAllowedLength',
  dry_penalty_last_n: 'dryPenaltyLastN',
} as const satisfies Partial<Record<keyof SamplingRequest, keyof SamplingParams>>;

/** The sampling parameters of a body, without its `logit_bias`. `repeat_penalty` overrides `repetition_penalty`. */
export function readSampling(body: SamplingRequest): SamplingParams {
  const params: Record<string, unknown> = {};
  for (const [field, name] of Object.entries(plainFields)) {
    const value = body[field as keyof typeof plainFields];
    if (value != null) params[name] = value;
  }
  for (const [field, name] of Object.entries(lookBackFields)) {
    const value = body[field as keyof typeof lookBackFields];
    if (value != null) params[name] = value < 0 ? maxLookBack : Math.min(value, maxLookBack);
  }
  const repeatPenalty = body.repeat_penalty ?? body.repetition_penalty;
  return {
    ...params,
    ...(repeatPenalty != null && { repeatPenalty }),
    ...(body.top_k != null && { topK: Math.max(body.top_k, 0) }),
    ...(body.seed != null && { seed: readSeed(body.seed) }),
    ...(body.samplers != null && {
      samplers: body.samplers.map((name) => (name === 'typical_p' ? 'typ_p' : name)),
    }),
  };
}

/** A random seed instead of −1 also where the operator has set one. 2^64 is how 2^64 − 1 arrives. */
function readSeed(seed: number): bigint {
  if (seed === -1) return BigInt(randomInt(2 ** 48 - 1));
  return seed === 2 ** 64 ? 2n ** 64n - 1n : BigInt(seed);
}
