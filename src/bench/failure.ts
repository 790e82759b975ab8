/** How a request can fail, from its first step to its last. */
export type FailureKind =
  /** No connection: refused, unknown host, broken TLS. */
  | 'connect'
  /** No connection within the timeout. */
  | 'connect-timeout'
  /** Another status than 200. */
  | 'status'
  /** No byte within `--timeout`. */
  | 'timeout'
  /** The connection was closed before the reply was complete. */
  | 'connection-lost'
  /** The stream contains an error. */
  | 'error-frame'
  /** The stream ended without `[DONE]`. */
  | 'no-done'
  /** The reply is not an event stream, or not JSON. */
  | 'bad-stream';

/** Why one request failed. */
export interface Failure {
  readonly kind: FailureKind;
  /** HTTP status, where it is not 200. */
  readonly status?: number;
  /** The server's own code, as in OpenAI's `error.code`, or the system's, such as `ECONNREFUSED`. */
  readonly code?: string;
  /** One line from the server or the system, without API keys. */
  readonly message: string;
}

/** Failures of one cause, with the first as an example. */
export interface FailureGroup extends Failure {
  readonly count: number;
}

/** Thrown within the client, whose callers receive the failure as a value. */
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

/** The content of an error object in the form of OpenAI, or of llama.cpp with a number for its code. */
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
