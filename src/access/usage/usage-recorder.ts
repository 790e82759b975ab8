import type { Usage } from './usage-lines.ts';

/** What one request came to. */
export interface RequestUsage
  extends Pick<Usage, 'promptTokenCount' | 'cachedTokenCount' | 'completionTokenCount'> {
  /** It did not come to its end. */
  readonly failed: boolean;
}

/** Takes down what one request used. */
export interface UsageRecorder {
  /** Resolves once that is safe, or cannot be made so. Never throws. */
  record(usage: RequestUsage): Promise<void>;
}

/** Where nobody asks. */
export const noRecorder: UsageRecorder = { record: async () => {} };

/** What is recorded, by day and key. */
export interface UsageLedger {
  /** @throws {Error} when it is not safe; that has been logged */
  record(usage: Usage): Promise<void>;
  /** The sums of all servers that share the place. */
  readAll(): Promise<readonly Usage[]>;
}

/** Records the usage of one key, under the day (UTC) on which a request ends. */
export class KeyRecorder implements UsageRecorder {
  readonly #ledger: UsageLedger;
  readonly #keyId: string;
  readonly #now: () => number;

  /** @param now - milliseconds since 1970 */
  constructor(ledger: UsageLedger, keyId: string, now: () => number = Date.now) {
    this.#ledger = ledger;
    this.#keyId = keyId;
    this.#now = now;
  }

  async record(request: RequestUsage): Promise<void> {
    const { failed, promptTokenCount, cachedTokenCount, completionTokenCount } = request;
    const usage: Usage = {
      day: new Date(this.#now()).toISOString().slice(0, 10),
      keyId: this.#keyId,
      requestCount: 1,
      errorCount: failed ? 1 : 0,
      promptTokenCount,
      cachedTokenCount,
      completionTokenCount,
    };
    // The ledger has said what is wrong; the client has nothing to do with it.
    await this.#ledger.record(usage).catch(() => {});
  }
}
