/** llama.cpp as tests and benchmarks use it: as a server has it, with the engine's kernels. */
import { getLlama, type Llama, LlamaLogLevel, type LlamaOptions } from 'node-llama-cpp';
import { loadAddon, variantOf } from '../../src/engine/addon.ts';

/** Left out: the GPU that node-llama-cpp finds, as many threads as it chooses, and the engine's kernels. */
export async function startLlama({
  cpuKernels = true,
  ...options
}: Pick<LlamaOptions, 'gpu' | 'maxThreads'> & {
  readonly cpuKernels?: boolean;
} = {}): Promise<Llama> {
  const llama = await getLlama({
    build: 'never',
    skipDownload: true,
    logLevel: LlamaLogLevel.error,
    ...options,
  });
  if (cpuKernels) loadAddon(variantOf(llama.gpu)).installCpuKernels();
  return llama;
}
