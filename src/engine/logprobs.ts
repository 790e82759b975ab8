/** Log probabilities of the tokens of a prompt and of a completion. */

/** Which log probabilities a request returns. */
export interface LogprobOptions {
  /** Number of likeliest tokens at each position, 0 or more. */
  readonly topCount: number;
  /** Includes the prompt, which is then computed in full and takes nothing from the prefix cache. */
  readonly prompt: boolean;
}

/** A token, its bytes and its log probability: log-softmax over the raw logits. */
export interface TopLogprob {
  readonly id: number;
  /** Not necessarily whole characters. */
  readonly bytes: Buffer;
  /** At most 0; −Infinity where the model excludes the token. */
  readonly logprob: number;
}

/** A token of a text with the model's distribution at its position, before sampling. */
export interface TokenLogprob extends Omit<TopLogprob, 'logprob'> {
  /** Undefined for the first token of a prompt, which has no prediction. */
  readonly logprob: number | undefined;
  /** 1 for the likeliest token at this position; only of tokens of a prompt. */
  readonly rank?: number;
  /** The likeliest tokens at this position, likeliest first. */
  readonly top: readonly TopLogprob[];
  /** Characters (code points) of the completion before this token; 0 for tokens of the prompt. */
  readonly firstCharacter: number;
}
