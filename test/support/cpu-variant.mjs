/**
 * Makes node-llama-cpp load one chosen build of ggml's CPU kernels (`TEST_CPU_VARIANT`, e.g. `haswell`) instead of the
 * best that this processor can run. A module for `node --import`: it has to be there before the addon is.
 */
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const variant = process.env.TEST_CPU_VARIANT;
if (variant) {
  const { dlopen } = process;
  process.dlopen = (module, file, ...flags) => {
    dlopen(module, file, ...flags);
    if (basename(file) !== 'llama-addon.node') return;
    const addon = module.exports;
    // The addon's own properties cannot be replaced.
    module.exports = Object.create(addon, {
      loadBackends: {
        value: (folder) => addon.loadBackends(folder && folderWith(dirname(file), variant)),
      },
    });
  };
}

/** A folder that holds the one library: ggml loads the best of those it finds in a folder. */
function folderWith(libraries, variant) {
  const name = `libggml-cpu-${variant}.so`;
  const library = join(libraries, name);
  if (!existsSync(library)) throw new Error(`TEST_CPU_VARIANT=${variant}: there is no ${library}`);
  const folder = fileURLToPath(new URL(`../../build/cpu-variants/${variant}`, import.meta.url));
  mkdirSync(folder, { recursive: true });
  const link = join(folder, name);
  if (!existsSync(link)) symlinkSync(library, link);
  return folder;
}
