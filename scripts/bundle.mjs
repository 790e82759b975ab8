/**
 * Makes dist/ of src/ and of the libraries that a start reads: a few files, since Node reads about one module file a
 * millisecond, and these are more than a thousand.
 */
import { readFile } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const llamaEntry = fileURLToPath(import.meta.resolve('node-llama-cpp'));
const llamaDist = join(llamaEntry, '..');
/** The file that node-llama-cpp starts as a process of its own, to try a library before it opens it. */
const trial = join(llamaDist, 'bindings', 'utils', 'testBindingBinary.js');

/** What stays in node_modules. */
const external = [
  // Starts workers from files beside its own.
  'pino',
  // Read at the first request for the API's page, whose files lie beside it.
  '@fastify/swagger-ui',
  // Read where a setting asks for them.
  'ioredis',
  '@opentelemetry/*',
  // Part of node-llama-cpp's downloads, with binaries of its own.
  '@reflink/*',
];

/**
 * Types are checked by `npm run check`, not here.
 * @param root - the project's folder
 * @throws when a source does not compile; esbuild has said why
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
    // For libraries that are CommonJS.
    banner: {
      js: "import { createRequire as createBundleRequire } from 'node:module'; const require = createBundleRequire(import.meta.url);",
    },
  };
  await Promise.all([
    build({
      ...options,
      entryPoints: ['src/cli.ts', 'src/engine/native-engine.ts'],
      // What only one command needs stays in a file of its own, beside cli.js.
      splitting: true,
    }),
    build({ ...options, entryPoints: [trial] }),
  ]);
}

/** node-llama-cpp as part of a bundle: without what nobody uses of it, and finding its files where they are. */
const nodeLlamaCpp = {
  name: 'node-llama-cpp',
  setup(bundler) {
    bundler.onResolve({ filter: /./ }, async ({ path, pluginData, ...from }) => {
      if (path !== 'node-llama-cpp' && !isOfLlama(from.importer)) return undefined;
      if (pluginData?.isResolved) return undefined;
      // Packages of binaries, of which one is installed, and what a server has no use for.
      if (from.kind === 'dynamic-import') return { path, external: true };
      const found = await bundler.resolve(path, { ...from, pluginData: { isResolved: true } });
      // Its modules do nothing but define: what is not imported from one need not be read.
      return isOfLlama(found.path) ? { ...found, sideEffects: false } : found;
    });
    bundler.onLoad({ filter: /\.js$/ }, async ({ path }) => {
      if (!isOfLlama(path)) return undefined;
      const source = await readFile(path, 'utf8');
      // The trial has a bundle of its own, which is as quick to read.
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
