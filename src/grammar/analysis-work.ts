/** The work that analyses of patterns have done, in steps of about a microsecond. */
let done = 0;

export function countWork(steps: number): void {
  done += steps;
}

/** The work at which comparisons of texts with patterns end. */
let end = Number.POSITIVE_INFINITY;

/** Allows so many steps more, until the next call. */
export function allowWork(steps: number): void {
  end = done + steps;
}

export function isWorkSpent(): boolean {
  return done > end;
}

/** Calls `analyse`; returns its result and its work. */
export function withWork<Result>(analyse: () => Result): {
  readonly result: Result;
  readonly work: number;
} {
  const before = done;
  const result = analyse();
  return { result, work: done - before };
}
