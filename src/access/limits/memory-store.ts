import type { LimitStore, WindowBounds, WindowEntry, WindowState } from './limit-store.ts';

interface Entry {
  readonly amount: number;
  readonly timeMs: number;
}

/** Oldest first: entries are added at the end only. */
interface Window {
  readonly entries: Map<string, Entry>;
  sum: number;
  /** Time of the last added entry, which may have been removed since. */
  lastMs: number;
}

interface Total {
  readonly endMs: number;
  sum: number;
}

/** How often empty windows and expired totals are deleted. */
const purgeIntervalMs = 300_000;

/**
 * Counts in this process. A window has at most as many entries as its limit allows; the number of windows is the number
 * of recently used keys.
 */
export class MemoryStore implements LimitStore {
  readonly #windows = new Map<string, Window>();
  readonly #totals = new Map<string, Total>();
  readonly #now: () => number;
  #purgedMs: number;

  /** @param now - milliseconds of a clock that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#purgedMs = now();
  }

  async take(
    name: string,
    { id, amount }: WindowEntry,
    { limit, windowMs }: WindowBounds,
  ): Promise<WindowState> {
    this.#purge(windowMs);
    const window = this.#window(name, windowMs);
    const granted = window.sum + amount <= limit;
    const retryMs = granted ? 0 : this.#wait(window, window.sum + amount - limit, windowMs);
    if (granted && amount > 0) this.#put(name, window, id, amount);
    return { granted, used: window.sum, retryMs, resetMs: this.#resetMs(window, windowMs) };
  }

  async settle(name: string, { id, amount }: WindowEntry, windowMs: number): Promise<void> {
    const window = this.#window(name, windowMs);
    drop(window, id);
    if (amount > 0) this.#put(name, window, id, amount);
  }

  async addToTotal(
    name: string,
    amount: number,
    { limit, lifetimeMs }: { readonly limit: number; readonly lifetimeMs: number },
  ) {
    const now = this.#now();
    let total = this.#totals.get(name);
    if (total === undefined || total.endMs <= now) total = { sum: 0, endMs: now + lifetimeMs };
    const granted = total.sum + amount <= limit;
    if (granted) {
      total.sum = Math.max(0, total.sum + amount);
      this.#totals.set(name, total);
    }
    return { granted, total: total.sum };
  }

  async close(): Promise<void> {}

  /** The window without expired entries. */
  #window(name: string, windowMs: number): Window {
    const window = this.#windows.get(name) ?? { entries: new Map(), sum: 0, lastMs: 0 };
    const oldest = this.#now() - windowMs;
    for (const [id, { timeMs }] of window.entries) {
      if (timeMs > oldest) break;
      drop(window, id);
    }
    return window;
  }

  #put(name: string, window: Window, id: string, amount: number): void {
    drop(window, id);
    window.lastMs = this.#now();
    window.entries.set(id, { amount, timeMs: window.lastMs });
    window.sum += amount;
    this.#windows.set(name, window);
  }

  /** Milliseconds until entries with a sum of `amount` have expired; a whole window where the sum is lower. */
  #wait({ entries }: Window, amount: number, windowMs: number): number {
    let rest = amount;
    for (const entry of entries.values()) {
      rest -= entry.amount;
      if (rest <= 0) return entry.timeMs + windowMs - this.#now();
    }
    return windowMs;
  }

  #resetMs({ entries, lastMs }: Window, windowMs: number): number {
    return entries.size === 0 ? 0 : lastMs + windowMs - this.#now();
  }

  #purge(windowMs: number): void {
    const now = this.#now();
    if (now - this.#purgedMs < purgeIntervalMs) return;
    this.#purgedMs = now;
    for (const name of this.#windows.keys()) {
      if (this.#window(name, windowMs).entries.size === 0) this.#windows.delete(name);
    }
    for (const [name, { endMs }] of this.#totals) if (endMs <= now) this.#totals.delete(name);
  }
}

function drop(window: Window, id: string): void {
  const entry = window.entries.get(id);
  if (entry === undefined) return;
  window.entries.delete(id);
  window.sum -= entry.amount;
}
