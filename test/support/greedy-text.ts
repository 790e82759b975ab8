/**
 * Greedy texts of a server that are to be equal. A batch of another shape rounds differently, so where the two likeliest
 * tokens are as good as equally likely, either may be chosen; from there on the texts differ.
 */
import { expect } from 'vitest';

/** One token of a greedy text. */
export interface GreedyStep {
  readonly text: string;
  /** Log probabilities of the likeliest tokens. */
  readonly top: readonly number[];
}

/**
 * Log probabilities closer than this may change places. With the F16 cache of a server they moved by up to 0.005
 * between a sequence alone and in a batch, on every build of ggml's x86-64 kernels.
 */
const nearTieGap = 0.01;

/**
 * Expects equal texts, near-ties excepted.
 * @param stepsOf - the tokens of the expected text of that index; asked for only where texts differ
 */
export async function expectSameGreedyTexts(
  texts: readonly string[],
  expected: readonly string[],
  stepsOf: (index: number) => Promise<readonly GreedyStep[]>,
): Promise<void> {
  expect(texts).toHaveLength(expected.length);
  for (const [index, text] of texts.entries()) {
    const other = expected[index] ?? '';
    if (text === other) continue;
    const gap = decisiveGap(await stepsOf(index), text, other);
    expect(gap, `${JSON.stringify(text)} for ${JSON.stringify(other)}`).toBeLessThan(nearTieGap);
    console.log(`a near-tie of ${gap.toExponential(1)} fell the other way`);
  }
}

/** By how much the best token beat the next one where the texts part. */
function decisiveGap(steps: readonly GreedyStep[], one: string, other: string): number {
  let same = 0;
  while (same < one.length && one[same] === other[same]) same += 1;
  let end = 0;
  for (const { text, top } of steps) {
    end += text.length;
    if (end > same) return (top[0] ?? 0) - (top[1] ?? Number.NEGATIVE_INFINITY);
  }
  return Number.POSITIVE_INFINITY;
}
