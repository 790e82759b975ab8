/** The engine in this process, called as the server calls it, without HTTP. */
import type { Llama, LlamaModel } from 'node-llama-cpp';
import type { GeneratingEngine } from '../../../src/engine/engine.ts';
import { createNativeEngine } from '../../../src/engine/native-engine.ts';
import { streamIntervalOf, threadPollOf } from '../../../src/model/machine-defaults.ts';
import type { KvLayout } from '../options.ts';
import type { PromptSource } from '../prompts.ts';
import { type Contestant, secondsOf } from './contestant.ts';

/** A template that adds nothing to the message, so the prompt has exactly the tokens of its text. */
const bareTemplate = '{% for message in messages %}{{ message.content }}{% endfor %}';

export async function startEngine(options: {
  readonly llama: Llama;
  readonly model: LlamaModel;
  readonly kvLayout: KvLayout;
  readonly threadCount: number;
  readonly slotCount: number;
  readonly contextLength: number;
  readonly prompts: PromptSource;
}): Promise<Contestant> {
  const { llama, model, kvLayout, threadCount, slotCount, contextLength, prompts } = options;
  const engine = await createNativeEngine({
    model,
    llamaGpu: llama.gpu,
    slotCount,
    contextLength,
    kvTokenCount: slotCount * contextLength,
    threadCount,
    threadPoll: threadPollOf({ threadPoll: undefined }, llama.gpu),
    kvLayout,
    batchSize: 2048,
    ubatchSize: 512,
    streamIntervalMs: streamIntervalOf({ streamIntervalMs: undefined }, llama.gpu, threadCount),
    flashAttention: 'auto',
    cacheTypeK: 'f16',
    cacheTypeV: 'f16',
    chatTemplate: bareTemplate,
    defaultMaxTokens: contextLength,
    samplingDefaults: {},
  });
  return {
    name: 'engine',
    async run({ streamCount, promptTokenCount, completionTokenCount }) {
      const batch = prompts.take(streamCount, promptTokenCount);
      const counts = { promptTokenCount: 0, completionTokenCount: 0 };
      const before = engine.stats();
      const seconds = await secondsOf(async () => {
        const usages = await Promise.all(
          batch.map(({ text }) => generate(engine, text, completionTokenCount)),
        );
        for (const usage of usages) {
          counts.promptTokenCount += usage.promptTokenCount;
          counts.completionTokenCount += usage.completionTokenCount;
        }
      });
      const after = engine.stats();
      const stepMs = after.stepMs - before.stepMs;
      const decodeMs = after.decodeMs - before.decodeMs;
      return { seconds, ...counts, outsideDecodeRatio: 1 - decodeMs / stepMs };
    },
    close: () => engine.close(),
  };
}

async function generate(engine: GeneratingEngine, content: string, maxTokens: number) {
  const prompt = await engine.generator.prepareChat([{ role: 'user', content }]);
  const sampling = { temperature: 0, ignoreEos: true };
  for await (const event of engine.generator.generate({ prompt, maxTokens, sampling })) {
    if (event.type === 'sequence-end') return event.usage;
  }
  throw new Error('engine: a sequence did not end');
}
