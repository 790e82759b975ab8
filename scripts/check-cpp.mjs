/**
 * Checks the layout of this project's C++ against .clang-format; `--write` corrects it. If clang-format is missing, the
 * check prints a note and passes, because clang-format is a distribution package and not an npm package.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const files = ['native/src', 'test/native', 'tools/engine-bench'].flatMap((dir) =>
  readdirSync(dir, { recursive: true })
    .filter((name) => /\.(cc|h|inc)$/.test(name) && !name.startsWith('third_party'))
    .map((name) => join(dir, name)),
);
const mode = process.argv.includes('--write') ? ['-i'] : ['--dry-run', '--Werror'];
const { error, status } = spawnSync('clang-format', [...mode, ...files], { stdio: 'inherit' });
if (error !== undefined) {
  console.log('C++ layout not checked: clang-format is missing (apt-get install clang-format)');
} else {
  if (status === 0) console.log(`C++ layout: ${files.length} files are formatted`);
  process.exitCode = status ?? 1;
}
