/** How a request can fail, from its first step to its last. */
export type FailureKind =
  /** No connection: refused, unknown host, broken TLS. */
  | 'connect'
  /** No connection within the time for it. */
  | 'connect-timeout'
  /** Another status than 200. */
  | 'status'
  /** Nothing came for as long as `--timeout`. */
  | 'timeout'
  /** The connection was closed before the reply was complete. */
  | 'connection-lost'
  /** The stream holds an error. */
  | 'error-frame'
  /** The stream came to an end, but not to `[DONE]`. */
  | 'no-done'
  /** What came is no event stream, or no JSON. */
  | 'bad-stream';

/** Why one request failed. */
export interface Failure {
  readonly kind: FailureKind;
  /** HTTP status, once there was one that says something. */
  readonly status?: number;
  /** The server's own code, as in OpenAI's `error.code`, or the system's, such as `ECONNREFUSED`. */
  readonly code?: string;
  /** One line from the server or the system, without API keys. */
  readonly message: string;
}

/** Failures of one cause, and the first of them as an example. */
export interface FailureGroup extends Failure {
  readonly count: number;
}

/** Thrown inside the client; what it measures against comes back as a value. */
export class RequestError extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.name = 'RequestError';
    this.failure = failure;
  }
}

/** By cause, the most frequent first. */
export function groupFailures(failures: readonly Failure[]): FailureGroup[] {
  const groups = new Map<string, FailureGroup>();
  for (const failure of failures) {
    const name = failureName(failure);
    const group = groups.get(name) ?? { ...failure, count: 0 };
    groups.set(name, { ...group, count: group.count + 1 });
  }
  return [...groups.values()].sort((a, b) => b.count - a.count);
}

/** The cause in a few words: `status 429 rate_limit_exceeded`, `timeout`. */
export function failureName({ kind, status, code }: Failure): string {
  return [kind, status, code].filter((part) => part !== undefined).join(' ');
}

/** What an error object of OpenAI's shape says, or of llama.cpp's, whose code is a number. */
export function readErrorBody(body: unknown): Pick<Failure, 'code' | 'message'> | undefined {
  const error = isRecord(body) ? body.error : undefined;
  if (typeof error === 'string') return { message: error };
  if (!isRecord(error)) return undefined;
  const code = [error.code, error.type].find((each) => typeof each === 'string' && each !== '');
  return {
    ...(typeof code === 'string' && { code }),
    message: typeof error.message === 'string' ? error.message : JSON.stringify(error),
  };
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
