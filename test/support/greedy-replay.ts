/**
 * The same greedy text, computed by node-llama-cpp's own loop: an independent witness, and the judge of
 * near-ties when two texts differ.
 */
import type { LlamaModel, Token } from 'node-llama-cpp';

/** Logits closer than this may change places with the shape of a batch. */
export const nearTieGap = 1e-3;

/**
 * Whether the first difference of two greedy texts falls on a step whose best logits were as good as
 * equal.
 * @param prompt - as the chat template renders it
 */
export async function differsByNearTie(
  model: LlamaModel,
  prompt: string,
  texts: readonly [string, string],
): Promise<boolean> {
  return (await gapWhereTextsPart(model, prompt, texts)) < nearTieGap;
}

/** Difference of the two best logits on the step where two greedy texts part; infinite where they part on none. */
export async function gapWhereTextsPart(
  model: LlamaModel,
  prompt: string,
  [one, other]: readonly [string, string],
): Promise<number> {
  let same = 0;
  while (same < one.length && one[same] === other[same]) same += 1;
  const steps = await greedyReplay(model, prompt, 64);
  return steps.find((step) => step.text.length > same)?.gap ?? Number.POSITIVE_INFINITY;
}

/** One greedy step: what was chosen, and by how much it beat the next best. */
export interface ReplayedToken {
  readonly token: Token;
  /** Text of all tokens up to this one. */
  readonly text: string;
  /** Difference of the two highest logits. */
  readonly gap: number;
}

/** Continues `prompt` greedily by `tokenCount` tokens. */
export async function greedyReplay(
  model: LlamaModel,
  prompt: string,
  tokenCount: number,
): Promise<ReplayedToken[]> {
  const context = await model.createContext({ contextSize: 2048, sequences: 1, threads: 1 });
  try {
    const sequence = context.getSequence();
    const tokens = model.tokenize(prompt, true);
    const steps: ReplayedToken[] = [];
    const chosen: Token[] = [];
    const options = { temperature: 0, yieldEogToken: true };
    for await (const { token, probabilities } of sequence.evaluateWithMetadata(
      tokens,
      { probabilities: true },
      options,
    )) {
      chosen.push(token);
      const [first = 1, second = 0] = [...probabilities.values()].sort((a, b) => b - a);
      steps.push({ token, text: model.detokenize(chosen), gap: Math.log(first / second) });
      if (steps.length === tokenCount) break;
    }
    return steps;
  } finally {
    await context.dispose();
  }
}
