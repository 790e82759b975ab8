/** llama.cpp as the benchmarks use it: with the engine's kernels, as a server has it. */
import { getLlama, type Llama, LlamaLogLevel } from 'node-llama-cpp';
import { loadAddon, variantOf } from '../src/engine/addon.ts';
import type { GpuName } from './options.ts';

/** Left out: the GPU that node-llama-cpp finds, and as many threads as it chooses. */
export async function startLlama(
  options: { readonly gpu?: GpuName; readonly threadCount?: number } = {},
): Promise<Llama> {
  const { gpu = 'auto', threadCount } = options;
  const llama = await getLlama({
    build: 'never',
    skipDownload: true,
    gpu: gpu === 'off' ? false : gpu,
    ...(threadCount !== undefined && { maxThreads: threadCount }),
    logLevel: LlamaLogLevel.error,
  });
  loadAddon(variantOf(llama.gpu)).installCpuKernels();
  return llama;
}
