/**
 * The candidate nearest to `name`, or undefined when none is close. Close is a distance of at most `maxDistance` letters
 * that are added, removed, changed or swapped; by default a third of the letters.
 */
export function nearest(
  name: string,
  candidates: Iterable<string>,
  maxDistance: number = Math.min(3, Math.max(1, Math.floor(name.length / 3))),
): string | undefined {
  let best: { readonly candidate: string; readonly distance: number } | undefined;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - name.length) > maxDistance) continue;
    const distance = editDistance(name, candidate, maxDistance);
    if (distance <= maxDistance && (best === undefined || distance < best.distance)) {
      best = { candidate, distance };
    }
  }
  return best?.candidate;
}

/**
 * Optimal string alignment distance: Levenshtein's, where a swap of two adjacent letters counts once.
 * @returns infinity above `limit`, which ends the computation early: a start compares thousands of names
 */
function editDistance(left: string, right: string, limit: number): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  let previousMinimum = 0;
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const substitution = left[row - 1] === right[column - 1] ? 0 : 1;
      const swapped =
        row > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      current.push(
        Math.min(
          at(previous, column) + 1,
          at(current, column - 1) + 1,
          at(previous, column - 1) + substitution,
          swapped ? at(beforePrevious, column - 2) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    // Each row follows from the two before it, so later rows cannot be lower.
    const minimum = Math.min(...current);
    if (minimum > limit && previousMinimum > limit) return Number.POSITIVE_INFINITY;
    previousMinimum = minimum;
    beforePrevious = previous;
    previous = current;
  }
  return at(previous, right.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}
