/** node-llama-cpp's own context, driven from JavaScript by one `sequence.evaluate()` per stream. */
import type { LlamaContext, LlamaContextSequence, LlamaModel, Token } from 'node-llama-cpp';
import type { PromptSource } from '../prompts.ts';
import { type Contestant, secondsOf } from './contestant.ts';

export function createNodeLlamaCpp(options: {
  readonly model: LlamaModel;
  readonly threadCount: number;
  readonly contextLength: number;
  readonly prompts: PromptSource;
}): Contestant {
  const { model, threadCount, contextLength, prompts } = options;
  let context: LlamaContext | undefined;
  let sequences: LlamaContextSequence[] = [];

  /** Reuses the context while the number of streams stays the same, because a context has a fixed number of sequences. */
  async function prepare(streamCount: number): Promise<void> {
    if (sequences.length !== streamCount) {
      await context?.dispose();
      const created = await model.createContext({
        sequences: streamCount,
        contextSize: contextLength,
        batchSize: 512,
        threads: { ideal: threadCount, min: threadCount },
      });
      context = created;
      sequences = Array.from({ length: streamCount }, () => created.getSequence());
    }
    for (const sequence of sequences) await sequence.clearHistory();
  }

  return {
    name: 'node-llama-cpp',
    async run({ streamCount, promptTokenCount, completionTokenCount }) {
      await prepare(streamCount);
      const batch = prompts.take(streamCount, promptTokenCount);
      let generatedCount = 0;
      const seconds = await secondsOf(async () => {
        const counts = await Promise.all(
          sequences.map((sequence, index) =>
            generate(sequence, batch[index]?.tokens ?? [], completionTokenCount),
          ),
        );
        generatedCount = counts.reduce((sum, count) => sum + count, 0);
      });
      return {
        seconds,
        promptTokenCount: batch.reduce((sum, prompt) => sum + prompt.tokens.length, 0),
        completionTokenCount: generatedCount,
      };
    },
    async close() {
      await context?.dispose();
    },
  };
}

/** Generates up to `completionTokenCount` tokens and returns the number of generated tokens. */
async function generate(
  sequence: LlamaContextSequence,
  prompt: readonly Token[],
  completionTokenCount: number,
): Promise<number> {
  let count = 0;
  const tokens = sequence.evaluate([...prompt], { temperature: 0, yieldEogToken: true });
  for await (const _ of tokens) {
    count++;
    if (count === completionTokenCount) break;
  }
  return count;
}
