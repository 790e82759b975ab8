import type { Usage } from './usage-lines.ts';

/** Usage of one request. */
export interface RequestUsage
  extends Pick<Usage, 'promptTokenCount' | 'cachedTokenCount' | 'completionTokenCount'> {
  /** The request failed or was aborted. */
  readonly failed: boolean;
}

/** Records the usage of one request. */
export interface UsageRecorder {
  /** Resolves once the usage is on the disk, or the write has failed. Never throws. */
  record(usage: RequestUsage): Promise<void>;
}

/** A recorder that discards usage. */
export const noRecorder: UsageRecorder = { record: async () => {} };

/** Recorded usage by day and key. */
export interface UsageLedger {
  /** @throws {Error} when the write failed, which is logged */
  record(usage: Usage): Promise<void>;
  /** Sums over all servers that share the folder. */
  readAll(): Promise<readonly Usage[]>;
}

/** Records the usage of one key, on the day (UTC) on which a request ends. */
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
    // The ledger logs the failure, which does not concern the client.
    await this.#ledger.record(usage).catch(() => {});
  }
}
