import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pino from 'pino';
import { describe, expect, test } from 'vitest';
import {
  type CudaBuildName,
  checkCudaKernels,
  cudaBuilds,
  cudaFit,
  openCudaBuild,
} from '../../../src/model/cuda-build.ts';
import { fatBinaryTargets } from '../../support/fat-binary.ts';

const packages = fileURLToPath(new URL('../../../node_modules/@node-llama-cpp', import.meta.url));
const libraries = {
  cuda13: join(packages, 'linux-x64-cuda/bins/linux-x64-cuda/libggml-cuda.so'),
  cuda12: join(packages, 'linux-x64-cuda-ext/bins/linux-x64-cuda/fallback/libggml-cuda.so'),
};
/** The PTX language has versions of its own. */
const ptxVersions = { 13010: '9.1', 12040: '8.4' };

test.for(Object.keys(libraries) as CudaBuildName[])(
  'what is known of the %s build is what the installed library holds',
  (name, { skip }) => {
    skip(!existsSync(libraries[name]), 'not installed on this platform');
    const build = cudaBuilds[name];
    expect(fatBinaryTargets(libraries[name])).toEqual({
      machineCode: build.machineCode,
      ptx: build.ptx,
      ptxVersions: [ptxVersions[build.toolkitVersion]],
    });
  },
);

describe('a GPU', () => {
  test.each([
    ['cuda13', 13_000, 89, 'runs'],
    ['cuda13', 13_000, 120, 'runs'],
    ['cuda13', 13_000, 90, 'old driver'],
    ['cuda13', 13_000, 80, 'old driver'],
    ['cuda13', 13_010, 90, 'compiles'],
    ['cuda13', 13_010, 100, 'compiles'],
    ['cuda13', 13_010, 70, 'old device'],
    ['cuda12', 12_000, 89, 'runs'],
    ['cuda12', 12_020, 80, 'old driver'],
    ['cuda12', 13_000, 90, 'compiles'],
    ['cuda12', 13_000, 120, 'compiles'],
  ] as const)('of the %s build, driver %i, capability %i: %s', (name, driver, capability, fit) => {
    expect(cudaFit(cudaBuilds[name], driver, capability)).toBe(fit);
  });
});

test.each([
  ['7f 08:01 1 /app/node_modules/@node-llama-cpp/linux-x64-cuda/bins/x/libggml-cuda.so', 'cuda13'],
  [
    '7f 1 /app/node_modules/@node-llama-cpp/linux-x64-cuda-ext/x/fallback/libggml-cuda.so',
    'cuda12',
  ],
  ['7f 08:01 1 /app/node_modules/node-llama-cpp/llama/localBuilds/x/libggml-cuda.so', undefined],
  ['7f 08:01 1 /app/libggml-base.so', undefined],
])('which build is open is seen in the process’s memory map', (maps, name) => {
  expect(openCudaBuild(() => maps)).toBe(name);
});

describe('the check at the start', () => {
  const check = (name: CudaBuildName | undefined, version: number, ...capabilities: number[]) => {
    const lines: string[] = [];
    const logger = pino({}, { write: (line: string) => lines.push(JSON.parse(line).msg) });
    checkCudaKernels({ version, capabilities }, name, logger);
    return lines;
  };

  test('says nothing where the kernels run', () => {
    expect(check('cuda13', 13_000, 86, 89)).toEqual([]);
    expect(check(undefined, 13_000, 90)).toEqual([]);
  });

  test('says that the first start takes longer where they are compiled', () => {
    expect(check('cuda12', 13_000, 90)).toEqual([
      'the driver compiles the kernels of CUDA 12.4 for a GPU of compute capability 9.0, and keeps them: ' +
        'the first start takes longer',
    ]);
  });

  test('ends with what to do where the driver is too old', () => {
    expect(() => check('cuda13', 13_000, 89, 90)).toThrow(
      'a GPU of compute capability 9.0 needs kernels that its driver compiles, and the driver, which knows ' +
        'CUDA up to 13.0, cannot compile those of CUDA 13.1; install driver 590 or newer, or use the build for ' +
        'CUDA 12 (docs/troubleshooting.md says how), or use GPU=off',
    );
    expect(() => check('cuda12', 12_020, 80)).toThrow(
      'install driver 550 or newer, or use GPU=off',
    );
  });

  test('or the GPU', () => {
    expect(() => check('cuda13', 13_010, 61)).toThrow(
      'a GPU of compute capability 6.1 is too old for the kernels of CUDA 13.1, or use the build for CUDA 12 ' +
        '(docs/troubleshooting.md says how); use GPU=vulkan or GPU=off',
    );
  });
});
