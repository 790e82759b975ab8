/** What is left of a limit, and how headers and messages write durations. */
import type { WindowState } from './limit-store.ts';

export const minuteMs = 60_000;

/** The remaining amount of a limit, for headers. */
export interface Allowance {
  readonly limit: number;
  readonly remaining: number;
  /** Milliseconds until the whole limit is available again. */
  readonly resetMs: number;
}

export function toAllowance(limit: number, { used, resetMs }: WindowState): Allowance {
  return { limit, remaining: Math.max(0, limit - used), resetMs };
}

/** `1.574s` */
export function inSeconds(durationMs: number): string {
  return `${Math.max(0.001, Math.ceil(durationMs) / 1000)}s`;
}

/** As OpenAI writes durations in headers: `12ms`, `1.5s`, `6m0s`, `1h0m0s`. */
export function formatReset(durationMs: number): string {
  const rounded = Math.max(0, Math.ceil(durationMs));
  if (rounded < 1000) return `${rounded}ms`;
  if (rounded < minuteMs) return `${rounded / 1000}s`;
  const seconds = Math.ceil(rounded / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return `${hours === 0 ? '' : `${hours}h`}${minutes}m${seconds % 60}s`;
}
