import { GatewayError } from './errors.ts';

/** Problems that are collected of one request at most. */
export const maxProblemCount = 100;

/** A message names at most this many problems and counts the rest. */
const maxNamedCount = 20;

/**
 * All that is wrong with a request, as one error: the code and the field of the first problem, and the sentences of
 * all.
 */
export class RequestRefusal extends GatewayError {
  /** At least one; each names its field. */
  readonly problems: readonly GatewayError[];
  /** False if the rest of the request was not checked. */
  readonly isComplete: boolean;

  constructor(problems: readonly [GatewayError, ...GatewayError[]], isComplete = true) {
    const [first] = problems;
    super(first.code, {
      message: messageOf(problems),
      ...(first.param !== undefined && { param: first.param }),
      cause: first.cause,
    });
    this.problems = problems;
    this.isComplete = isComplete;
  }
}

/** Several problems as one error, a single one as it is; undefined without any. */
export function refusalOf(problems: readonly GatewayError[]): GatewayError | undefined {
  const [first, ...others] = problems;
  if (first === undefined || others.length === 0) return first;
  return new RequestRefusal([first, ...others]);
}

function messageOf(problems: readonly GatewayError[]): string {
  const named = problems.slice(0, maxNamedCount).map(({ message }) => message);
  const restCount = problems.length - named.length;
  if (restCount === 0) return named.join(' ');
  const count = problems.length < maxProblemCount ? String(restCount) : `At least ${restCount}`;
  return `${named.join(' ')} ${count} more fields are wrong.`;
}
