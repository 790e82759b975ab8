/** Loads the native addon. The only file that knows a `.node` path. */
import { createRequire } from 'node:module';
import { packagePath, pinnedNodeLlamaCppVersion } from '../core/package-info.ts';
import type { Addon } from './addon.ts';

/** The backend variants of the addon. */
export type AddonVariant = 'cpu' | 'cuda' | 'metal' | 'vulkan';

/** The variant for `llama.gpu`, where false is the CPU alone. */
export function variantOf(gpu: Exclude<AddonVariant, 'cpu'> | false): AddonVariant {
  return gpu === false ? 'cpu' : gpu;
}

const require = createRequire(import.meta.url);
let loaded: { readonly variant: AddonVariant; readonly addon: Addon } | undefined;

/**
 * Loads the addon that is linked against the libraries that node-llama-cpp has open.
 * @throws {Error} with instructions, when the addon is missing or does not load, or when another variant is loaded: the
 *   variants share library names, so a process can hold one of them
 */
export function loadAddon(variant: AddonVariant): Addon {
  if (loaded?.variant === variant) return loaded.addon;
  if (loaded !== undefined) {
    throw new Error(
      `the ${loaded.variant} engine is loaded already; a process can hold only one backend variant`,
    );
  }
  const path = packagePath(`dist/native/engine-${variant}.node`);
  let addon: Addon;
  try {
    addon = require(path) as Addon;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(
      `the native engine for ${variant} did not load from ${path}: ${reason}. ` +
        'Build it with `npm run build`, on the Node.js version that runs it.',
      { cause },
    );
  }
  if (addon.nodeLlamaCppVersion !== pinnedNodeLlamaCppVersion) {
    throw new Error(
      `the native engine was built for node-llama-cpp ${addon.nodeLlamaCppVersion}, ` +
        `but ${pinnedNodeLlamaCppVersion} is required: run \`npm run build\``,
    );
  }
  loaded = { variant, addon };
  return addon;
}
