/** What the addon hears from NVIDIA's driver, of which one is made here that says what a test wants. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** The functions of the CUDA driver API that are asked, for a driver of CUDA 13.0 with two GPUs. */
const driverSource = `
extern "C" {
int cuInit(unsigned) { return 0; }
int cuDriverGetVersion(int* version) { *version = 13000; return 0; }
int cuDeviceGetCount(int* count) { *count = 2; return 0; }
int cuDeviceGet(int* device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  if (attribute == 75) *value = device == 0 ? 9 : 8;
  else if (attribute == 76) *value = device == 0 ? 0 : 6;
  else return 1;
  return 0;
}
}`;

const root = fileURLToPath(new URL('../..', import.meta.url));
const probe = join(root, 'test/support/cuda-driver-probe.mjs');

describe.runIf(process.platform === 'linux')('the driver', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cuda-driver-'));
  beforeAll(() => {
    const source = join(folder, 'driver.cc');
    writeFileSync(source, driverSource);
    execFileSync('c++', ['-shared', '-fPIC', '-o', join(folder, 'libcuda.so.1'), source]);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const ask = (libraryPath: string): unknown =>
    JSON.parse(
      execFileSync(process.execPath, [probe], {
        env: { ...process.env, LD_LIBRARY_PATH: libraryPath },
        encoding: 'utf8',
      }),
    );

  test('says which CUDA it knows, and what its devices are capable of', () => {
    expect(ask(folder)).toEqual({ version: 13_000, capabilities: [90, 86] });
  });

  test('that does not answer is none', () => {
    writeFileSync(join(folder, 'mute.cc'), 'extern "C" int cuInit(unsigned) { return 100; }');
    const mute = join(folder, 'mute');
    mkdirSync(mute);
    execFileSync('c++', [
      ...['-shared', '-fPIC', '-o', join(mute, 'libcuda.so.1')],
      join(folder, 'mute.cc'),
    ]);
    expect(ask(mute)).toBeNull();
  });
});
