/**
 * What a request adds to its model's rules about tokens. All tokens are in the vocabulary.
 */
export interface TokenRules {
  /** These end the completion, like the end tokens of the model. */
  readonly stopTokens?: readonly number[];
  /** So many tokens come before an end token or a stop text may end the completion. */
  readonly minTokens?: number;
  /** Only these may follow, at least one; an end token that is not among them never comes. */
  readonly allowedTokens?: readonly number[];
  /** Sequences of one token or more, of which none is ever completed. */
  readonly badWords?: readonly (readonly number[])[];
}
