/**
 * Checks that the CUDA kernels of node-llama-cpp run on a GPU. The kernels are machine code for some GPUs and PTX for
 * others. The driver compiles PTX, if it is at least as new as the toolkit that wrote the PTX. Without this check,
 * llama.cpp ends the process at its first kernel.
 */
import { readFileSync } from 'node:fs';
import { StartError } from '../core/start-error.ts';
import type { CudaDriver } from '../engine/addon.ts';
import type { Logger } from '../log/log.ts';

/** The contents of one `libggml-cuda`. Capabilities as in {@link CudaDriver}. */
export interface CudaBuild {
  /** The CUDA version, in the numbering of drivers. */
  readonly toolkitVersion: number;
  /** The first driver that supports this toolkit. */
  readonly driver: number;
  /** GPUs with machine code. Newer GPUs of the same generation run it too. */
  readonly machineCode: readonly number[];
  readonly ptx: readonly number[];
}

/** The builds of the pinned release; `test/unit/model/cuda-build.test.ts` compares them with the installed files. */
export const cudaBuilds = {
  cuda13: {
    toolkitVersion: 13_010,
    driver: 590,
    machineCode: [86, 89, 120, 121],
    ptx: [75, 80, 90],
  },
  cuda12: {
    toolkitVersion: 12_040,
    driver: 550,
    machineCode: [86],
    ptx: [50, 61, 70, 75, 80],
  },
} as const satisfies Record<string, CudaBuild>;

export type CudaBuildName = keyof typeof cudaBuilds;

/** The build that is open in this process; undefined for a local build, and where it cannot be determined. */
export function openCudaBuild(readMaps = readProcessMaps): CudaBuildName | undefined {
  const path = /\S*\/@node-llama-cpp\/\S*libggml-cuda\.so/.exec(readMaps())?.[0];
  if (path === undefined) return undefined;
  return /\/fallback\/[^/]*$/.test(path) ? 'cuda12' : 'cuda13';
}

function readProcessMaps(): string {
  try {
    return readFileSync('/proc/self/maps', 'utf8');
  } catch {
    return '';
  }
}

/**
 * How a device runs a build: with its machine code (`runs`), after the driver has compiled it (`compiles`), or not,
 * because the driver is too old (`old driver`) or the device is (`old device`).
 */
export function cudaFit(
  build: CudaBuild,
  driverVersion: number,
  capability: number,
): 'runs' | 'compiles' | 'old driver' | 'old device' {
  const generation = (of: number) => Math.floor(of / 10);
  const isMade = build.machineCode.some(
    (made) => generation(made) === generation(capability) && made <= capability,
  );
  if (isMade) return 'runs';
  if (!build.ptx.some((made) => made <= capability)) return 'old device';
  return driverVersion >= build.toolkitVersion ? 'compiles' : 'old driver';
}

/**
 * Logs that the driver will compile kernels, which takes a while the first time.
 * @throws {StartError} exit code 1 when a device cannot run them
 */
export function checkCudaKernels(
  driver: CudaDriver | null,
  name: CudaBuildName | undefined,
  logger: Logger,
): void {
  if (driver === null || name === undefined) return;
  const build = cudaBuilds[name];
  for (const capability of driver.capabilities) {
    const gpu = `a GPU of compute capability ${Math.floor(capability / 10)}.${capability % 10}`;
    const written = cudaVersion(build.toolkitVersion);
    switch (cudaFit(build, driver.version, capability)) {
      case 'runs':
        break;
      case 'compiles':
        logger.info(
          `the driver compiles the kernels of CUDA ${written} for ${gpu}, and keeps them: the first start takes longer`,
        );
        break;
      case 'old driver':
        throw new StartError(
          1,
          `${gpu} needs kernels that its driver compiles, and the driver, which knows CUDA up to ` +
            `${cudaVersion(driver.version)}, cannot compile those of CUDA ${written}; ` +
            `install driver ${build.driver} or newer${otherBuild(name, driver.version, capability)}, or use GPU=off`,
        );
      case 'old device':
        throw new StartError(
          1,
          `${gpu} is too old for the kernels of CUDA ${written}` +
            `${otherBuild(name, driver.version, capability)}; use GPU=vulkan or GPU=off`,
        );
    }
  }
}

function otherBuild(name: CudaBuildName, driverVersion: number, capability: number): string {
  const other = name === 'cuda12' ? 'cuda13' : 'cuda12';
  const fit = cudaFit(cudaBuilds[other], driverVersion, capability);
  return fit === 'runs' || fit === 'compiles'
    ? `, or use the build for CUDA ${other.slice(4)} (docs/troubleshooting.md says how)`
    : '';
}

/** `13000` as `13.0`. */
function cudaVersion(version: number): string {
  return `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;
}
