/**
 * How the next token is chosen. An omitted field takes the engine's default: llama.cpp's, unless the operator
 * configured another. The API validates ranges; this type does not.
 */
export interface SamplingParams {
  /** 0 is greedy. */
  readonly temperature?: number;
  readonly topP?: number;
  /** 0 keeps the whole vocabulary. */
  readonly topK?: number;
  readonly minP?: number;
  readonly typicalP?: number;
  /** Minimum number of tokens that the samplers which cut by probability leave; 0 is off. */
  readonly minKeep?: number;
  /** In standard deviations of the logits; negative is off. */
  readonly topNSigma?: number;
  readonly xtcProbability?: number;
  readonly xtcThreshold?: number;
  readonly dynatempRange?: number;
  readonly dynatempExponent?: number;
  /** Tokens the penalties look back over; 0 is off. */
  readonly repeatLastN?: number;
  readonly repeatPenalty?: number;
  readonly frequencyPenalty?: number;
  readonly presencePenalty?: number;
  readonly dryMultiplier?: number;
  readonly dryBase?: number;
  readonly dryAllowedLength?: number;
  readonly dryPenaltyLastN?: number;
  readonly drySequenceBreakers?: readonly string[];
  readonly adaptiveTarget?: number;
  readonly adaptiveDecay?: number;
  /** 0 off, 1 or 2 the version. */
  readonly mirostat?: 0 | 1 | 2;
  readonly mirostatTau?: number;
  readonly mirostatEta?: number;
  /** Any 64-bit integer; folded to the 32 bits llama.cpp's generators take. */
  readonly seed?: bigint;
  /** Prevents the model from ending the completion. */
  readonly ignoreEos?: boolean;
  /** Added to the logits: `[token id, bias]`. */
  readonly logitBias?: readonly (readonly [number, number])[];
  /** Names of llama.cpp's samplers in the order they apply. */
  readonly samplers?: readonly string[];
  /** A GBNF grammar, already validated. */
  readonly grammar?: string;
}

/** Parameters of llama.cpp's samplers under the names of llama-server, for replies that show them. */
export type SamplingDescription = Readonly<
  Record<string, number | string | boolean | readonly unknown[]>
>;
