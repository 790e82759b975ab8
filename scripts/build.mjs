/**
 * Builds what `npm start` and `npm test` run: the native addon (one per llama.cpp variant found in
 * node_modules) and dist/ (see bundle.mjs). Each part is skipped when nothing it is made of has changed.
 *
 *   node scripts/build.mjs [--quiet]     --quiet prints nothing when everything is up to date
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Stamp } from './fingerprint.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const buildDir = join(root, 'build');
const sourceDir = join(buildDir, 'llama.cpp');
const distDir = join(root, 'dist');
const packageJson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** What is used of llama.cpp's source beside its libraries. */
const unpackedPaths = [
  'include',
  'ggml/include',
  // How the CPU backend asks for kernels: see native/src/kernels/cpu_kernels.cc.
  'ggml/src/ggml-backend-impl.h',
  'ggml/src/ggml-impl.h',
  'ggml/src/ggml-cpu/ggml-cpu-impl.h',
  'ggml/src/ggml-cpu/traits.h',
  'common',
  'models/ggml-vocab-gpt-2.gguf',
  'LICENSE',
];

/** What each tool is needed for, and how to get it. */
const tools = {
  git: { why: 'unpacks the llama.cpp headers', apt: 'git', brew: 'git' },
  cmake: { why: 'builds the native engine', apt: 'cmake', brew: 'cmake' },
  'c++': { why: 'compiles the native engine', apt: 'g++', brew: 'xcode-select --install' },
};

// Node tells the first path as it was given and the second without links.
if (realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await build({ quiet: process.argv.includes('--quiet') });
}

/** @param options - `quiet`: nothing is said of what is up to date */
export async function build({ quiet }) {
  const llamaDir = findNodeLlamaCpp();
  checkPinnedVersion(llamaDir);
  await step('native engine', {
    quiet,
    inputs: nativeInputs(llamaDir),
    isMade: nativeOutputsExist,
    make: () => buildNative(llamaDir),
    hint: ' (takes about a minute)',
  });
  await step('dist', {
    quiet,
    inputs: bundleInputs(llamaDir),
    isMade: () => existsSync(join(distDir, 'cli.js')),
    make: buildDist,
  });
}

/** Runs `make` unless the inputs have the fingerprint of the last successful run. */
async function step(name, { quiet, inputs, isMade, make, hint = '' }) {
  const stampFile = join(buildDir, `${name.replace(' ', '-')}.stamp`);
  const { isSame, save } = new Stamp(stampFile).compare(root, inputs);
  if (isSame && isMade()) {
    if (!quiet) console.log(`${name}: up to date`);
    return;
  }
  console.log(`${name}: building${hint}`);
  const startedAt = Date.now();
  await make();
  save();
  console.log(`${name}: built in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
}

function nativeInputs(llamaDir) {
  return [
    ...filesUnder(join(root, 'native')),
    ...llamaLibraries(llamaDir),
    // Their versions; the rest of the project's own package.json does not concern the addon.
    ...[llamaDir, ...['cmake-js', 'node-addon-api'].map((name) => join(root, 'node_modules', name))]
      .map((folder) => join(folder, 'package.json'))
      .filter(existsSync),
    fileURLToPath(import.meta.url),
  ];
}

/** The libraries the addon is linked against; a variant that was added or removed changes the list. */
function llamaLibraries(llamaDir) {
  const packages = join(llamaDir, '..', '@node-llama-cpp');
  if (!existsSync(packages)) return [];
  return filesUnder(packages).filter((file) => /libllama[^/]*$/.test(file));
}

function bundleInputs(llamaDir) {
  // npm's own list of what is installed changes with every package in it.
  const installed = join(root, 'node_modules', '.package-lock.json');
  return [
    ...filesUnder(join(root, 'src')),
    join(root, 'package.json'),
    join(llamaDir, 'package.json'),
    ...(existsSync(installed) ? [installed] : []),
    fileURLToPath(import.meta.url),
    fileURLToPath(new URL('./bundle.mjs', import.meta.url)),
  ];
}

function filesUnder(dir) {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((item) => item.isFile())
    .map((item) => join(item.parentPath ?? item.path, item.name))
    .sort();
}

function nativeOutputsExist() {
  const dir = join(distDir, 'native');
  return existsSync(dir) && readdirSync(dir).some((name) => name.endsWith('.node'));
}

function findNodeLlamaCpp() {
  try {
    return join(dirname(fileURLToPath(import.meta.resolve('node-llama-cpp'))), '..');
  } catch {
    return fail('node-llama-cpp is not installed: run `npm ci` first');
  }
}

/** The addon reads memory laid out by node-llama-cpp, so another release must not get this far. */
function checkPinnedVersion(llamaDir) {
  const pinned = packageJson.dependencies['node-llama-cpp'];
  const found = JSON.parse(readFileSync(join(llamaDir, 'package.json'), 'utf8')).version;
  if (found !== pinned) {
    fail(`node-llama-cpp ${pinned} is required exactly, found ${found}: run \`npm ci\``);
  }
}

function buildNative(llamaDir) {
  requireTools();
  unpackHeaders(llamaDir);
  // Values given on the command line are taken only by a fresh configuration.
  rmSync(join(buildDir, 'native', 'CMakeCache.txt'), { force: true });
  rmSync(join(distDir, 'native'), { recursive: true, force: true });
  const cmakeJs = join(
    dirname(fileURLToPath(import.meta.resolve('cmake-js/package.json'))),
    'bin',
    'cmake-js',
  );
  const result = spawnSync(
    process.execPath,
    [
      cmakeJs,
      'compile',
      ...['--directory', join(root, 'native')],
      ...['--out', join(buildDir, 'native')],
      ...['--log-level', 'warn'],
      `--CDPLATFORM_KEY=${platformKey()}`,
      `--CDNODE_LLAMA_CPP_DIR=${llamaDir}`,
      `--CDLLAMA_CPP_SOURCE_DIR=${sourceDir}`,
      `--CDADDON_OUTPUT_DIR=${join(distDir, 'native')}`,
      `--CDNODE_LLAMA_CPP_VERSION=${packageJson.dependencies['node-llama-cpp']}`,
    ],
    { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
  );
  if (result.status !== 0) {
    process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
    fail('the native engine did not compile; the compiler says why above');
  }
}

/** The headers of exactly the release the libraries were built from: node-llama-cpp carries it. */
function unpackHeaders(llamaDir) {
  const bundle = join(llamaDir, 'llama', 'gitRelease.bundle');
  const { tag } = JSON.parse(readFileSync(join(llamaDir, 'llama', 'llama.cpp.info.json'), 'utf8'));
  const stampFile = join(sourceDir, '.unpacked');
  const stamp = [tag, statSync(bundle).size, ...unpackedPaths].join(' ');
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;
  rmSync(sourceDir, { recursive: true, force: true });
  mkdirSync(buildDir, { recursive: true });
  git(['clone', '--quiet', '--no-checkout', bundle, sourceDir], root);
  git(['checkout', '--quiet', 'HEAD', '--', ...unpackedPaths], sourceDir);
  writeFileSync(stampFile, stamp);
}

async function buildDist() {
  // Only where it is needed: a start that builds nothing need not read esbuild.
  const { bundle } = await import('./bundle.mjs');
  for (const name of existsSync(distDir) ? readdirSync(distDir) : []) {
    if (name !== 'native') rmSync(join(distDir, name), { recursive: true });
  }
  try {
    await bundle(root);
  } catch {
    fail('the TypeScript sources did not compile');
  }
}

/** Node-llama-cpp's name for this machine: the prefix of its binary packages. */
function platformKey() {
  const systems = { linux: 'linux', darwin: 'mac', win32: 'win' };
  const system = systems[process.platform] ?? fail(`platform ${process.platform} is not supported`);
  const arch = process.arch === 'arm' ? 'armv7l' : process.arch;
  return `${system}-${arch}`;
}

function requireTools() {
  const missing = Object.keys(tools).filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  const mac = process.platform === 'darwin';
  for (const name of missing) {
    const tool = tools[name];
    const how = mac
      ? tool.brew.includes(' ')
        ? tool.brew
        : `brew install ${tool.brew}`
      : `apt-get install ${tool.apt}`;
    console.error(`${name} was not found (it ${tool.why}): install it with \`${how}\``);
  }
  process.exit(1);
}

function isInstalled(name) {
  const candidates = name === 'c++' ? [process.env.CXX, 'c++', 'g++', 'clang++'] : [name];
  return candidates.some(
    (candidate) =>
      candidate && spawnSync(candidate, ['--version'], { stdio: 'ignore' }).status === 0,
  );
}

function git(args, cwd) {
  execFileSync('git', ['-c', 'advice.detachedHead=false', ...args], {
    cwd,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, GIT_DIR: undefined, GIT_WORK_TREE: undefined },
  });
}

function fail(message) {
  console.error(`build: ${message}`);
  process.exit(1);
}
