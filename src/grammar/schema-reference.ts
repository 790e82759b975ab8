/** References of a schema to its own parts. */
import { GrammarProblem } from './problem.ts';
import type { RawSchema } from './schema-merge.ts';

/** Values that are searched for names. */
const maxSearched = 20_000;

/** The schemas of each root by the references that name them. */
const namedSchemas = new WeakMap<RawSchema, ReadonlyMap<string, unknown>>();

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
  let named = namedSchemas.get(root);
  if (named === undefined) {
    named = findNamed(root);
    namedSchemas.set(root, named);
  }
  return named.get(reference);
}

function findNamed(root: RawSchema): Map<string, unknown> {
  const named = new Map<string, unknown>();
  const open: unknown[] = [root];
  for (let at = 0; at < open.length && at < maxSearched; at++) {
    const value = open[at];
    if (typeof value !== 'object' || value === null) continue;
    const { $id, $anchor } = value as RawSchema;
    for (const name of [$id, typeof $anchor === 'string' ? `#${$anchor}` : undefined]) {
      if (typeof name === 'string' && !named.has(name)) named.set(name, value);
    }
    if (open.length < maxSearched) open.push(...Object.values(value));
  }
  return named;
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
