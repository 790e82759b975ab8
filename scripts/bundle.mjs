/**
 * Bundles src/ and the libraries that every start reads into a few files in dist/. Node reads about one module file per
 * millisecond, and these are more than a thousand.
 */
import { readFile } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const llamaEntry = fileURLToPath(import.meta.resolve('node-llama-cpp'));
const llamaDist = join(llamaEntry, '..');
/** The file that node-llama-cpp runs in a separate process, to try a library before it opens the library. */
const trial = join(llamaDist, 'bindings', 'utils', 'testBindingBinary.js');

/** Packages that stay in node_modules. */
const external = [
  // Starts workers from files of its own package.
  'pino',
  // Loaded at the first request for the API's page, with files of its own package.
  '@fastify/swagger-ui',
  // Loaded only for a setting.
  'ioredis',
  '@opentelemetry/*',
  // Used by node-llama-cpp's downloads, with binaries of its own.
  '@reflink/*',
];

/**
 * Builds dist/. `npm run check` checks the types, this function does not.
 * @param root - the project folder
 * @throws if a source does not compile; esbuild prints the reason
 */
export async function bundle(root) {
  const options = {
    absWorkingDir: root,
    outdir: 'dist',
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: true,
    logLevel: 'warning',
    external,
    plugins: [nodeLlamaCpp],
    // CommonJS libraries call `require`.
    banner: {
      js: "import { createRequire as createBundleRequire } from 'node:module'; const require = createBundleRequire(import.meta.url);",
    },
  };
  await Promise.all([
    build({
      ...options,
      entryPoints: ['src/cli.ts', 'src/engine/native-engine.ts'],
      // Code of a single command gets its own file beside cli.js.
      splitting: true,
    }),
    build({ ...options, entryPoints: [trial] }),
  ]);
}

/** Makes node-llama-cpp part of a bundle: drops its unused modules and keeps the paths of its files valid. */
const nodeLlamaCpp = {
  name: 'node-llama-cpp',
  setup(bundler) {
    bundler.onResolve({ filter: /./ }, async ({ path, pluginData, ...from }) => {
      if (path !== 'node-llama-cpp' && !isOfLlama(from.importer)) return undefined;
      if (pluginData?.isResolved) return undefined;
      // Packages of binaries, of which one is installed, and modules that the server does not use.
      if (from.kind === 'dynamic-import') return { path, external: true };
      const found = await bundler.resolve(path, { ...from, pluginData: { isResolved: true } });
      // Its modules only define values, so a module without used imports is left out.
      return isOfLlama(found.path) ? { ...found, sideEffects: false } : found;
    });
    bundler.onLoad({ filter: /\.js$/ }, async ({ path }) => {
      if (!isOfLlama(path)) return undefined;
      const source = await readFile(path, 'utf8');
      // The trial has its own bundle, which also loads fast.
      const url =
        path === trial
          ? `new URL('./${basename(trial)}', import.meta.url).href`
          : `new URL('./${relative(llamaDist, path).replaceAll(sep, '/')}', import.meta.resolve('node-llama-cpp')).href`;
      return { contents: source.replaceAll('import.meta.url', `(${url})`), loader: 'js' };
    });
  },
};

function isOfLlama(path) {
  return path.startsWith(llamaDist + sep);
}
