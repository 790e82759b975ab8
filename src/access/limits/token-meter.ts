/** Tokens as a request asks for them; the completion is a guess where it names no limit. */
export interface TokenRequest {
  readonly promptTokenCount: number;
  readonly completionTokenCount: number;
}

/** What a request may spend of its key's tokens. */
export interface TokenMeter {
  /**
   * Sets tokens aside before any work is done.
   * @throws {GatewayError} `tokens_exceeded`, `insufficient_quota`
   */
  reserve(request: TokenRequest): Promise<void>;
  /** Counts what it came to, however it ended; called once after {@link reserve}. Never throws. */
  settle(tokenCount: number): Promise<void>;
}

/** For those without limits. */
export const unlimitedMeter: TokenMeter = {
  reserve: async () => {},
  settle: async () => {},
};
