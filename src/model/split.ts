import { basename, dirname, join } from 'node:path';

/** `name-00002-of-00003.gguf`, as llama.cpp's splitter names the parts. */
const partName = /^(?<stem>.*)-(?<number>\d{5})-of-(?<count>\d{5})$/;

/**
 * Paths of all parts of a split model, the first one first, from the path of any of them. Undefined
 * when the file is not named as one part of `partCount`.
 */
export function splitPartPaths(
  path: string,
  partCount: number,
): readonly [string, ...string[]] | undefined {
  const groups = partName.exec(basename(path, '.gguf'))?.groups;
  if (groups === undefined || Number(groups.count) !== partCount) return undefined;
  const part = (number: number) =>
    join(
      dirname(path),
      `${groups.stem}-${String(number).padStart(5, '0')}-of-${groups.count}.gguf`,
    );
  return [part(1), ...Array.from({ length: partCount - 1 }, (_, index) => part(index + 2))];
}

/** All files of a model, the first part first, by the name of any of them. A file that is no part is all of it. */
export function partPathsOf(path: string): readonly [string, ...string[]] {
  const partCount = Number(partName.exec(basename(path, '.gguf'))?.groups?.count ?? 1);
  return (partCount > 1 ? splitPartPaths(path, partCount) : undefined) ?? [path];
}

/** The model's name without the part number of a split file. */
export function unsplitName(name: string): string {
  return partName.exec(name)?.groups?.stem ?? name;
}
