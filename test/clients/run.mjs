/**
 * Runs the newest clients in front of the built server, see README.md:
 *
 *   node test/clients/run.mjs [js] [python] [agents]     without a name: all
 *
 * Clients that cannot be installed because no registry answers, or because there is no Python, are skipped with a
 * line that begins with `skipped`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = import.meta.dirname;
const root = join(folder, '../..');
/** Everything that is installed for Python: uv, and an environment for each file of requirements. */
const pythonHome = join(root, 'build/clients');
const uvVersion = '0.13.9';
const minimumPython = [3, 11];

/** What npm, pip and uv say when no registry answers. */
const unreachable =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|NewConnectionError|ConnectTimeout|ProxyError|dns error|error sending request|Failed to fetch|Could not connect/;

/** The clients cannot be tried on this machine. */
class Skipped extends Error {}

const suites = {
  js: () => runPackages('js'),
  python: runPython,
  agents: () => runPackages('agents'),
};

const names = process.argv.slice(2);
const chosen = names.length > 0 ? names : Object.keys(suites);
for (const name of chosen) {
  const suite = suites[name];
  if (suite === undefined)
    throw new Error(`no such clients: ${name}; there are: ${Object.keys(suites).join(', ')}`);
  try {
    if (!(await suite())) process.exitCode = 1;
  } catch (error) {
    if (!(error instanceof Skipped)) throw error;
    console.log(`skipped: ${name}: ${error.message}`);
  }
}

/** The packages of a folder's package.json, on the Node that is one of them. */
async function runPackages(name) {
  const packages = join(folder, name);
  const lockFile = join(packages, 'package-lock.json');
  const stampFile = join(packages, 'node_modules/.stamp');
  const stamp = createHash('sha256').update(readFileSync(lockFile)).digest('hex');
  if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
    install('npm', ['ci', '--no-audit', '--no-fund'], packages);
    writeFileSync(stampFile, stamp);
  }
  const node = join(packages, 'node_modules/.bin/node');
  const tool = (path) => join(root, 'node_modules', path);
  return (
    (await run(node, [tool('typescript/bin/tsc'), '--project', packages])) &&
    (await run(node, [
      ...[tool('vitest/vitest.mjs'), 'run', '--config'],
      join(packages, 'vitest.config.ts'),
    ]))
  );
}

/** The packages of each python/requirements*.txt, in an environment of its own. */
async function runPython() {
  const python = process.env.PYTHON || 'python3';
  const isRecent = `import sys; sys.exit(sys.version_info < (${minimumPython.join(', ')}))`;
  if (spawnSync(python, ['-c', isRecent]).status !== 0) {
    throw new Skipped(`there is no Python ${minimumPython.join('.')} (PYTHON may name one)`);
  }
  const uv = installUv(python);
  const instructor = join(folder, 'python/test_instructor.py');
  const environments = [
    { name: 'requirements', tests: [join(folder, 'python'), `--ignore=${instructor}`] },
    { name: 'requirements-instructor', tests: [instructor] },
  ];
  let passed = true;
  for (const { name, tests } of environments) {
    const environment = join(pythonHome, name);
    const requirements = join(folder, 'python', `${name}.txt`);
    install(uv, ['venv', '--quiet', '--allow-existing', '--python', python, environment]);
    install(uv, ['pip', 'sync', '--quiet', '--python', environment, requirements]);
    passed = (await run(join(environment, 'bin/python'), ['-m', 'pytest', ...tests])) && passed;
  }
  return passed;
}

/** uv installs a hundred packages in seconds, where pip takes minutes. */
function installUv(python) {
  const target = join(pythonHome, `uv-${uvVersion}`);
  const uv = join(target, 'bin/uv');
  if (!existsSync(uv)) {
    install(python, ['-m', 'pip', 'install', '--quiet', '--target', target, `uv==${uvVersion}`]);
  }
  return uv;
}

/** @throws {Skipped} without a registry, or without the program */
function install(command, args, cwd = root) {
  const env = { ...process.env, UV_PYTHON_DOWNLOADS: 'never' };
  const { status, stderr, error } = spawnSync(command, args, { cwd, env, encoding: 'utf8' });
  if (status === 0) return;
  if (error?.code === 'ENOENT' || /No module named pip/.test(stderr)) {
    throw new Skipped(`${command} with its installer is missing`);
  }
  if (unreachable.test(stderr)) throw new Skipped('no package registry answers');
  throw new Error(`${command} ${args.join(' ')} failed:\n${stderr}`);
}

/** True if the command succeeds. */
function run(command, args) {
  // A run within `npm run test:long` is a run of its own.
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST'));
  const env = {
    ...Object.fromEntries(own),
    NODE: process.execPath,
    PYTHONPYCACHEPREFIX: join(pythonHome, 'pycache'),
  };
  return new Promise((resolve, reject) => {
    spawn(command, args, { cwd: root, env, stdio: 'inherit' })
      .on('error', reject)
      .on('exit', (code) => resolve(code === 0));
  });
}
