/** llama.cpp as the benchmarks use it: with the engine's kernels, unless told otherwise. */
import { getLlama, type Llama, LlamaLogLevel } from 'node-llama-cpp';
import { loadAddon, variantOf } from '../src/engine/addon.ts';
import type { GpuName } from './options.ts';

/** Left out: the GPU that node-llama-cpp finds, as many threads as it chooses, and the engine's kernels. */
export async function startLlama(
  options: {
    readonly gpu?: GpuName;
    readonly threadCount?: number;
    readonly cpuKernels?: boolean;
  } = {},
): Promise<Llama> {
  const { gpu = 'auto', threadCount, cpuKernels = true } = options;
  const llama = await getLlama({
    build: 'never',
    skipDownload: true,
    gpu: gpu === 'off' ? false : gpu,
    ...(threadCount !== undefined && { maxThreads: threadCount }),
    logLevel: LlamaLogLevel.error,
  });
  if (cpuKernels) loadAddon(variantOf(llama.gpu)).installCpuKernels();
  return llama;
}
