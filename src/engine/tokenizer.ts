/** Converts between texts and the tokens of the model's vocabulary, on worker threads. */
export interface Tokenizer {
  /**
   * @param options.addSpecial - prepend the model's BOS token where the model expects one
   * @param options.parseSpecial - recognise control tokens in the text
   */
  tokenize(text: string, options: TokenizeOptions): Promise<readonly number[]>;

  /**
   * The bytes of tokens of the vocabulary, control tokens as their texts. A character may span several
   * tokens, so the bytes of a part of a text need not be valid UTF-8.
   */
  detokenize(tokens: readonly number[]): Promise<Buffer>;
}

/** How a text is tokenized. */
export interface TokenizeOptions {
  readonly addSpecial: boolean;
  readonly parseSpecial: boolean;
}
