/**
 * Checks the layout of our C++ against .clang-format; `--write` mends it. Without clang-format it says
 * so and passes: it is a distribution package, not something npm installs.
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
  if (status === 0) console.log(`C++ layout: ${files.length} files in order`);
  process.exitCode = status ?? 1;
}
