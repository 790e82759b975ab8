// Shared by the lifetime scripts, which run on plain Node as users do: a model, and engines on it.
import { createRequire } from 'node:module';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';
import { createNativeEngine } from '../../../dist/engine/native-engine.js';

export async function loadModel() {
  const llama = await getLlama({
    build: 'never',
    skipDownload: true,
    gpu: false,
    logLevel: LlamaLogLevel.error,
  });
  createRequire(import.meta.url)('../../../dist/native/engine-cpu.node').installCpuKernels();
  const model = await llama.loadModel({ modelPath: process.env.MODEL_PATH });
  return { llama, model };
}

export function startEngine(model, options = {}) {
  return createNativeEngine({
    model,
    llamaGpu: false,
    slotCount: 2,
    contextLength: 4096,
    kvTokenCount: 8192,
    threadCount: 2,
    batchSize: 2048,
    ubatchSize: 512,
    flashAttention: 'auto',
    cacheTypeK: 'f16',
    cacheTypeV: 'f16',
    defaultMaxTokens: 4000,
    samplingDefaults: { ignoreEos: true },
    ...options,
  });
}

/** Starts a generation that goes on and on; resolves with its iterator after the first event. */
export async function runEndless(engine) {
  const prompt = await engine.generator.prepareChat([{ role: 'user', content: 'go on and on' }]);
  const events = engine.generator.generate({ prompt, maxTokens: 4000 });
  await events.next();
  return events;
}

/** Reads to the end; resolves with the finish reason, or with the error's code. */
export async function drainEvents(events) {
  try {
    for await (const event of events) if (event.type === 'sequence-end') return event.finishReason;
    return 'nothing';
  } catch (error) {
    return error.code;
  }
}
