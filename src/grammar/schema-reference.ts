/** References of a schema to its own parts. */
import { GrammarProblem } from './problem.ts';
import type { RawSchema } from './schema-merge.ts';

/** Values that are searched for a name. */
const maxSearched = 20_000;

/**
 * The schema that a `$ref` points to.
 * @param path - of the reference
 * @throws {GrammarProblem} when it points outside of the schema, or to nothing
 */
export function resolveReference(root: RawSchema, reference: unknown, path: string): unknown {
  const named = typeof reference === 'string' ? schemaNamed(root, reference) : undefined;
  if (named !== undefined) return named;
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

/** The schema whose `$id` or `$anchor` a reference names. */
function schemaNamed(root: RawSchema, reference: string): unknown {
  if (reference === '#' || reference.startsWith('#/')) return undefined;
  const open: unknown[] = [root];
  for (let count = 0; count < maxSearched && open.length > 0; count++) {
    const value = open.shift();
    if (typeof value !== 'object' || value === null) continue;
    const { $id, $anchor } = value as RawSchema;
    if ($id === reference || (typeof $anchor === 'string' && `#${$anchor}` === reference))
      return value;
    open.push(...Object.values(value));
  }
  return undefined;
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
