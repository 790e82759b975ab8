/** Requested tokens; the completion is an estimate where the request names no limit. */
export interface TokenRequest {
  readonly promptTokenCount: number;
  readonly completionTokenCount: number;
}

/** Counts one request against the token limits of its key. */
export interface TokenMeter {
  /**
   * Reserves tokens before any work is done.
   * @throws {GatewayError} `tokens_exceeded`, `insufficient_quota`
   */
  reserve(request: TokenRequest): Promise<void>;
  /** Counts the tokens that were used, however the request ended; called once after {@link reserve}. Never throws. */
  settle(tokenCount: number): Promise<void>;
}

/** The meter of requests without limits. */
export const unlimitedMeter: TokenMeter = {
  reserve: async () => {},
  settle: async () => {},
};
