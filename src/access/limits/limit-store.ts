/**
 * Counts what keys use. A window is a sliding log: an entry counts for `windowMs`. A total grows until its lifetime
 * ends.
 */
export interface LimitStore {
  /**
   * Adds an entry to a window unless the sum would exceed the limit. An amount of 0 only reads the window.
   * @param entry.id - unique within the window
   */
  take(window: string, entry: WindowEntry, bounds: WindowBounds): Promise<WindowState>;

  /** Sets the amount of an entry from now on; 0 removes it. Creates an absent entry. */
  settle(window: string, entry: WindowEntry, windowMs: number): Promise<void>;

  /**
   * Adds to a total unless it would exceed the limit.
   * @param amount - may be negative, to give back
   * @param lifetimeMs - after which the total is forgotten
   */
  addToTotal(
    name: string,
    amount: number,
    bounds: { readonly limit: number; readonly lifetimeMs: number },
  ): Promise<{ readonly granted: boolean; readonly total: number }>;

  close(): Promise<void>;
}

export interface WindowEntry {
  readonly id: string;
  readonly amount: number;
}

export interface WindowBounds {
  readonly limit: number;
  readonly windowMs: number;
}

/** A window after an attempt to add an entry. */
export interface WindowState {
  readonly granted: boolean;
  /** Sum of the entries now. */
  readonly used: number;
  /** Milliseconds until the requested amount will fit; 0 where it was granted. */
  readonly retryMs: number;
  /** Milliseconds until the window is empty. */
  readonly resetMs: number;
}
