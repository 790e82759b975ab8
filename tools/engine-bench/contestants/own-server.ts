/** The built server in its own process, started as a user starts it. */
import { startGateway } from '../../fixtures/server-process.ts';
import type { GpuName, KvLayout } from '../options.ts';
import type { PromptSource } from '../prompts.ts';
import type { Contestant } from './contestant.ts';
import { connectHttp } from './http.ts';

export async function startOwnServer(options: {
  readonly modelPath: string;
  readonly gpu: GpuName;
  readonly kvLayout: KvLayout;
  readonly threadCount: number;
  readonly slotCount: number;
  readonly contextLength: number;
  readonly cpuKernels: boolean;
  readonly prompts: PromptSource;
}): Promise<Contestant> {
  const { baseUrl, close } = await startGateway({
    flags: {
      'model-path': options.modelPath,
      gpu: options.gpu,
      'kv-layout': options.kvLayout,
      threads: options.threadCount,
      parallel: options.slotCount,
      ctx: options.contextLength,
      'cpu-kernels': options.cpuKernels,
    },
  });
  try {
    return await connectHttp({ name: 'http', baseUrl, prompts: options.prompts, close });
  } catch (error) {
    await close();
    throw error;
  }
}
