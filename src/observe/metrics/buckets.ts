/**
 * Upper bounds of histograms, in seconds or tokens. They are vLLM's, so that its dashboards and alerts work here.
 * @see https://docs.vllm.ai/en/latest/usage/metrics/
 */

/** Time to first token. */
export const firstTokenBuckets = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
  160, 640, 2560,
];

/** Time between tokens. */
export const interTokenBuckets = [
  0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
];

/** Whole requests and their parts. */
export const requestBuckets = [
  0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
];

/** Choices of a request. */
export const choiceBuckets = [1, 2, 5, 10, 20];

/** Token counts: 1, 2, 5, 10 and so on, up to `max` and the first bound that is not below it. */
export function tokenBuckets(max: number): number[] {
  const bounds: number[] = [];
  for (let power = 1; ; power *= 10) {
    for (const digit of [1, 2, 5]) {
      bounds.push(digit * power);
      if (digit * power >= max) return bounds;
    }
  }
}
