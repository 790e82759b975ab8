/**
 * The sampling fields of a request, the same for every endpoint that generates. Nothing is clamped: a
 * range ends where llama.cpp would clamp, switch a sampler off in silence, or compute with infinities.
 */
import { type Static, Type } from 'typebox';
import { GatewayError } from '../../core/errors.ts';
import type { SamplingParams } from '../../engine/sampling-params.ts';
import { optional } from './optional.ts';

/** llama.cpp's samplers in their usual order. `infill` is left out: it works on another kind of prompt. */
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

/** llama.cpp's field is called `typical_p` and its sampler `typ_p`; clients send either as a sampler. */
const acceptedSamplers = [...samplerNames, 'typical_p'] as const;

/** Tokens a penalty looks back over at most; llama.cpp allocates room for all of them at once. */
const maxLookBack = 65_536;

/** More than OpenAI takes (300); each is looked at for every token sampled. */
const maxBiasCount = 1024;

/** A break is compared with every token of the vocabulary, and llama.cpp reads no more than 40 bytes. */
const maxBreakerCount = 16;

const Share = Type.Number({ minimum: 0, maximum: 1 });
const PositiveShare = Type.Number({ exclusiveMinimum: 0, maximum: 1 });
const Penalty = Type.Number({ minimum: -2, maximum: 2 });
// Logits are divided by it: near 0 they would overflow.
const RepeatPenalty = Type.Number({ minimum: 0.01, maximum: 10 });
const LookBack = Type.Integer({ minimum: 0, maximum: maxLookBack });

/** What a request may say about the choice of tokens, as properties of its schema. */
export const samplingFields = {
  temperature: optional(Type.Number({ minimum: 0, maximum: 2 })),
  dynatemp_range: optional(Type.Number({ minimum: 0, maximum: 2 })),
  // The entropy, from 0 to 1, is raised to it: below 0 that is infinite.
  dynatemp_exponent: optional(Type.Number({ minimum: 0, maximum: 4 })),
  top_p: optional(PositiveShare),
  // −1 is what other servers call the whole vocabulary, llama.cpp's 0.
  top_k: optional(Type.Integer({ minimum: -1, maximum: 2 ** 31 - 1 })),
  min_p: optional(Share),
  typical_p: optional(PositiveShare),
  // −1 is off.
  top_n_sigma: optional(Type.Number({ minimum: -1, maximum: 100 })),
  xtc_probability: optional(Share),
  xtc_threshold: optional(Share),
  frequency_penalty: optional(Penalty),
  presence_penalty: optional(Penalty),
  repeat_penalty: optional(RepeatPenalty),
  /** vLLM's name for it. */
  repetition_penalty: optional(RepeatPenalty),
  repeat_last_n: optional(LookBack),
  dry_multiplier: optional(Type.Number({ minimum: 0, maximum: 100 })),
  // Below 1 llama.cpp would switch the sampler off.
  dry_base: optional(Type.Number({ minimum: 1, maximum: 100 })),
  dry_allowed_length: optional(LookBack),
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
  // Signed or unsigned; a JSON number above 2^53 arrives rounded, at most to 2^64.
  seed: optional(
    Type.Integer({
      format: 'int64',
      minimum: -(2 ** 63),
      maximum: 2 ** 64,
      description: 'A signed or unsigned 64-bit integer; above 2^53 it may arrive rounded.',
    }),
  ),
  ignore_eos: optional(Type.Boolean()),
  logit_bias: optional(Type.Object({})),
  samplers: optional(
    Type.Array(Type.Enum([...acceptedSamplers]), { maxItems: acceptedSamplers.length }),
  ),
};

const SamplingRequest = Type.Object(samplingFields);
/** The sampling fields of a body that fits its schema. */
export type SamplingRequest = Static<typeof SamplingRequest>;

/** Fields whose value goes to the engine as it is. */
const plainFields = {
  temperature: 'temperature',
  dynatemp_range: 'dynatempRange',
  dynatemp_exponent: 'dynatempExponent',
  top_p: 'topP',
  min_p: 'minP',
  typical_p: 'typicalP',
  top_n_sigma: 'topNSigma',
  xtc_probability: 'xtcProbability',
  xtc_threshold: 'xtcThreshold',
  frequency_penalty: 'frequencyPenalty',
  presence_penalty: 'presencePenalty',
  repeat_last_n: 'repeatLastN',
  dry_multiplier: 'dryMultiplier',
  dry_base: 'dryBase',
  dry_allowed_length: 'dryAllowedLength',
  dry_penalty_last_n: 'dryPenaltyLastN',
  dry_sequence_breakers: 'drySequenceBreakers',
  mirostat: 'mirostat',
  mirostat_tau: 'mirostatTau',
  mirostat_eta: 'mirostatEta',
  adaptive_target: 'adaptiveTarget',
  adaptive_decay: 'adaptiveDecay',
  ignore_eos: 'ignoreEos',
} as const satisfies Partial<Record<keyof SamplingRequest, keyof SamplingParams>>;

/**
 * The sampling fields in the engine's words. `repeat_penalty` wins over `repetition_penalty`.
 * @throws {GatewayError} `invalid_value` for a `logit_bias` that is not one
 */
export function readSampling(body: SamplingRequest): SamplingParams {
  const params: Record<string, unknown> = {};
  for (const [field, name] of Object.entries(plainFields)) {
    const value = body[field as keyof typeof plainFields];
    if (value != null) params[name] = value;
  }
  const repeatPenalty = body.repeat_penalty ?? body.repetition_penalty;
  return {
    ...params,
    ...(repeatPenalty != null && { repeatPenalty }),
    ...(body.top_k != null && { topK: Math.max(body.top_k, 0) }),
    ...(body.seed != null && { seed: BigInt(body.seed) }),
    ...(body.logit_bias != null && { logitBias: readBias(body.logit_bias) }),
    ...(body.samplers != null && {
      samplers: body.samplers.map((name) => (name === 'typical_p' ? 'typ_p' : name)),
    }),
  };
}

/**
 * Token ids can be checked only once there is a model.
 * @throws {GatewayError} `invalid_value` for an id the vocabulary does not have
 */
export function requireTokens(params: SamplingParams, vocabularySize: number): void {
  for (const [id] of params.logitBias ?? []) {
    if (id < vocabularySize) continue;
    throw new GatewayError('invalid_value', {
      param: 'logit_bias',
      message: `\`logit_bias\` must name tokens of the model, 0 to ${vocabularySize - 1}, received ${id}.`,
    });
  }
}

function readBias(bias: object): [number, number][] {
  const entries = Object.entries(bias);
  if (entries.length > maxBiasCount) {
    throw new GatewayError('invalid_value', {
      param: 'logit_bias',
      message: `\`logit_bias\` must have at most ${maxBiasCount} entries, received ${entries.length}.`,
    });
  }
  return entries.map(([key, value]) => {
    if (!/^(0|[1-9]\d{0,8})$/.test(key)) {
      throw new GatewayError('invalid_value', {
        param: 'logit_bias',
        message: `\`logit_bias\` must have token ids as keys, received ${JSON.stringify(key.slice(0, 40))}.`,
      });
    }
    if (typeof value !== 'number' || value < -100 || value > 100) {
      const received = typeof value === 'number' ? value : JSON.stringify(value).slice(0, 40);
      throw new GatewayError('invalid_value', {
        param: `logit_bias.${key}`,
        message: `\`logit_bias.${key}\` must be a number between -100 and 100, received ${received}.`,
      });
    }
    return [Number(key), value];
  });
}
