/**
 * Adds to package-lock.json the optional platform packages that npm left out because its registry did not have them when
 * the lockfile was written. Without these entries `npm ci` rejects the lockfile as incomplete on every platform. With
 * them it skips the packages of other platforms and installs those of its own (without a checksum). Run it after
 * `npm install` has changed the lockfile:
 *
 *   node scripts/complete-lockfile.mjs [package-lock.json]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const [given] = process.argv.slice(2);
const own = fileURLToPath(new URL('../package-lock.json', import.meta.url));
const lockFile = given === undefined ? own : resolve(given);
const lock = JSON.parse(readFileSync(lockFile, 'utf8'));
const systems = {
  darwin: 'darwin',
  mac: 'darwin',
  win: 'win32',
  win32: 'win32',
  windows: 'win32',
  linux: 'linux',
  android: 'android',
};
const processors = { arm64: 'arm64', x64: 'x64', riscv64: 'riscv64', armv7l: 'arm' };

const added = [];
for (const parent of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    const path = `node_modules/${name}`;
    if (lock.packages[path] !== undefined) continue;
    const words = name.split('/').at(-1).split('-');
    const os = words.map((word) => systems[word]).find(Boolean);
    const cpu = words.map((word) => processors[word]).find(Boolean);
    if (os === undefined || cpu === undefined) continue;
    lock.packages[path] = {
      version,
      cpu: [cpu],
      ...(parent.dev ? { dev: true } : {}),
      ...(words.includes('musl') ? { libc: ['musl'] } : {}),
      optional: true,
      os: [os],
    };
    added.push(name);
  }
}

const entries = Object.entries(lock.packages).sort(([one], [other]) => (one < other ? -1 : 1));
lock.packages = Object.fromEntries(entries);
writeFileSync(lockFile, `${JSON.stringify(lock, null, 2)}\n`);
console.log(added.length === 0 ? 'the lockfile is complete' : `added ${added.join(', ')}`);
