import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Tells NVIDIA's driver where to keep compiled kernels. The driver reads the environment, so this comes before CUDA is
 * loaded. Where the folder cannot be created the driver uses the home folder of the user.
 */
export function placeKernelCache(folder: string): void {
  try {
    accessSync(existsSync(folder) ? folder : dirname(folder), constants.W_OK);
    process.env.CUDA_CACHE_PATH = folder;
  } catch {
    // A missing cache costs time only.
  }
}
