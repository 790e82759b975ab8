import type { LlamaModel } from 'node-llama-cpp';
import pino from 'pino';
import { expect, test } from 'vitest';
import { logOffload } from '../../../src/model/weights.ts';

const gibibyte = 2 ** 30;

/** What is read of a model, and the one line that is written about it. */
async function lineOf(gpu: 'cuda' | false): Promise<Record<string, unknown>> {
  const lines: Record<string, unknown>[] = [];
  const model = {
    llama: {
      gpu,
      getGpuDeviceNames: async () => ['NVIDIA H100 80GB HBM3'],
      getVramState: async () => ({ total: 80 * gibibyte, used: 8 * gibibyte, free: 72 * gibibyte }),
    },
    fileInsights: { totalLayers: 33 },
    gpuLayers: gpu === false ? 0 : 20,
    memoryUsage: { vram: 5 * gibibyte, ram: 3 * gibibyte },
  };
  const logger = pino({}, { write: (line: string) => lines.push(JSON.parse(line)) });
  await logOffload(model as unknown as LlamaModel, logger);
  return lines[0] ?? {};
}

test('the log says how much of a model is on which device', async () => {
  expect(await lineOf('cuda')).toMatchObject({
    msg: 'model loaded',
    backend: 'cuda',
    devices: ['NVIDIA H100 80GB HBM3'],
    layers: '20/33',
    weightsOnGpu: '5.0 GiB',
    vramFree: '72.0 GiB',
    vramTotal: '80.0 GiB',
  });
});

test('and that it is on the CPU where it is', async () => {
  expect(await lineOf(false)).toMatchObject({
    msg: 'model loaded on the CPU',
    backend: 'cpu',
    layers: '0/33',
  });
});
