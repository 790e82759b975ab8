/**
 * Assembles the files that an image runs, from a tree in which `npm ci` has built everything: the compiled program, its
 * packages, the llama.cpp of one compute backend, and the bundled model.
 *
 *   node scripts/container/assemble.mjs --out DIR --backend cpu|cuda12|cuda13
 *
 * DIR/VERSION contains GIT_SHA, BUILD_TIME and PLATFORM from the environment. The script fails if the result cannot load
 * its native engine.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/**
 * By backend: its variants of the addon, the suffixes of its packages with libraries of llama.cpp, and the unused files in
 * these packages. The CPU variant is always included, so an image for a GPU also starts without a GPU.
 */
const backends = {
  cpu: { variants: ['cpu'], packages: [''], unused: [] },
  // CUDA 12 has a package for the backend itself only; all other files come from the CUDA 13 package.
  cuda12: {
    variants: ['cpu', 'cuda'],
    packages: ['', '-cuda', '-cuda-ext'],
    unused: ['-cuda/bins/*/libggml-cuda.so'],
  },
  cuda13: { variants: ['cpu', 'cuda'], packages: ['', '-cuda'], unused: [] },
};

const { out, backend } = readOptions();
const platform = `linux-${process.arch === 'arm' ? 'armv7l' : process.arch}`;

if (existsSync(out) && readdirSync(out).length > 0) fail(`${out} is not empty`);
mkdirSync(out, { recursive: true });
copyProgram();
copyPackages();
writeVersion();
check();
console.log(`${out}: ${backend} for ${platform}`);

function readOptions() {
  const { values } = parseArgs({
    options: { out: { type: 'string' }, backend: { type: 'string' } },
  });
  if (values.out === undefined) fail('--out is missing');
  if (!Object.hasOwn(backends, values.backend ?? '')) {
    fail(`--backend must be one of ${Object.keys(backends).join(', ')}`);
  }
  return values;
}

function copyProgram() {
  for (const name of ['package.json', 'LICENSE', 'dist', 'models/tiny-chat.gguf']) copy(name);
  for (const name of ['entrypoint.sh', 'healthcheck.mjs']) {
    cpSync(join(root, 'scripts', 'container', name), join(out, name));
  }
  chmodSync(join(out, 'entrypoint.sh'), 0o755);
  const addons = join(out, 'dist', 'native');
  for (const name of readdirSync(addons)) {
    const [, variant] = /^engine-(\w+)\.node$/.exec(name) ?? [];
    if (!backends[backend].variants.includes(variant)) rmSync(join(addons, name));
  }
}

/** Copies the installed packages of the lockfile that are not for development. */
function copyPackages() {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const wanted = backends[backend].packages.map(
    (suffix) => `node_modules/@node-llama-cpp/${platform}${suffix}`,
  );
  for (const [path, entry] of Object.entries(packages)) {
    if (path === '' || isForDevelopment(entry) || !existsSync(join(root, path))) continue;
    if (path.startsWith('node_modules/@node-llama-cpp/') && !wanted.includes(path)) continue;
    // A nested package was copied with its parent.
    if (!existsSync(join(out, path))) copy(path);
  }
  // Only the build needs the source of llama.cpp.
  rmSync(join(out, 'node_modules/node-llama-cpp/llama/gitRelease.bundle'), { force: true });
  for (const pattern of backends[backend].unused) {
    const [suffix, file] = pattern.split('/bins/*/');
    const bins = join(out, `node_modules/@node-llama-cpp/${platform}${suffix}`, 'bins');
    for (const name of readdirSync(bins)) rmSync(join(bins, name, file), { force: true });
  }
}

/** `devOptional` packages are optional for another package, but only development tools use them here. */
function isForDevelopment({ dev, devOptional }) {
  return dev === true || devOptional === true;
}

function copy(name) {
  cpSync(join(root, name), join(out, name), { recursive: true, verbatimSymlinks: true });
}

function writeVersion() {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const { GIT_SHA, BUILD_TIME, PLATFORM } = process.env;
  const lines = [
    `VERSION=${version}`,
    `GIT_SHA=${GIT_SHA || 'unknown'}`,
    `BUILD_TIME=${BUILD_TIME || 'unknown'}`,
    `PLATFORM=${PLATFORM || platform}`,
    `BACKEND=${backend}`,
  ];
  writeFileSync(join(out, 'VERSION'), `${lines.join('\n')}\n`);
}

/** Loads each variant in a separate process, because one process cannot load two. */
function check() {
  for (const variant of backends[backend].variants) {
    const addon = join(out, 'dist', 'native', `engine-${variant}.node`);
    const load = ['-e', 'require(process.argv[1])', addon];
    const { status } = spawnSync(process.execPath, load, { stdio: 'inherit' });
    if (status !== 0) fail(`the native engine for ${variant} does not load`);
  }
}

function fail(message) {
  console.error(`assemble: ${message}`);
  process.exit(1);
}
