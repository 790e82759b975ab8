/**
 * `npm run test:long` (`LONG=1`) runs the files that import this module, with more rounds and with the cases that
 * `npm test` leaves out.
 */
export const isLong = process.env.LONG === '1';

/** All of them in the long run, else every `step`th. */
export function sampled<T>(all: readonly T[], step: number): T[] {
  return all.filter((_, index) => isLong || index % step === 0);
}
