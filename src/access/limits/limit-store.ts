/**
 * Where it is counted what keys use. A window is a sliding log: entries count from the moment they were
 * made until `windowMs` later. A total only grows, until it is forgotten.
 */
export interface LimitStore {
  /**
   * Adds an entry to a window unless the sum would then exceed the limit. An amount of 0 only looks.
   * @param entry.id - unique within the window
   */
  take(window: string, entry: WindowEntry, bounds: WindowBounds): Promise<WindowState>;

  /** Lets an entry count something else, from now on; 0 takes it back. Makes it if need be. */
  settle(window: string, entry: WindowEntry, windowMs: number): Promise<void>;

  /**
   * Adds to a total unless it would then exceed the limit.
   * @param amount - may be negative, to give back
   * @param lifetimeMs - after which it is forgotten
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

/** A window as an attempt to take something left it. */
export interface WindowState {
  readonly granted: boolean;
  /** Sum of the entries now. */
  readonly used: number;
  /** Milliseconds until as much as was asked for will fit; 0 where it was granted. */
  readonly retryMs: number;
  /** Milliseconds until the window is empty. */
  readonly resetMs: number;
}
