/** References of a schema to its own parts. */
import { GrammarProblem } from './problem.ts';
import type { RawSchema } from './schema-merge.ts';

/**
 * The schema that a `$ref` points to.
 * @param path - of the reference
 * @throws {GrammarProblem} when it points outside of the schema, or to nothing
 */
export function resolveReference(root: RawSchema, reference: unknown, path: string): unknown {
  if (typeof reference !== 'string' || !(reference === '#' || reference.startsWith('#/'))) {
    throw new GrammarProblem(path, 'can only point into the same schema, as in `#/$defs/name`');
  }
  let target: unknown = root;
  for (const part of reference.split('/').slice(1)) {
    const key = decodePointer(part);
    const found: unknown =
      typeof target === 'object' && target !== null && Object.hasOwn(target, key)
        ? (target as Record<string, unknown>)[key]
        : undefined;
    if (found === undefined) {
      throw new GrammarProblem(path, `points at \`${reference.slice(0, 80)}\`, which is not there`);
    }
    target = found;
  }
  return target;
}

function decodePointer(part: string): string {
  let text = part;
  try {
    text = decodeURIComponent(part);
  } catch {
    // Not encoded; a percent sign of its own.
  }
  return text.replaceAll('~1', '/').replaceAll('~0', '~');
}
