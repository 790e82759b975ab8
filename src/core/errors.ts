/**
 * The one error class of the gateway and the table every instance is made from. `code` is part of the
 * public API: clients branch on it, so a row may be added but never renamed.
 */

/** OpenAI's `error.type` values that this gateway uses. */
export type ErrorType =
  | 'invalid_request_error'
  | 'insufficient_quota'
  | 'permission_error'
  | 'rate_limit_error'
  | 'requests'
  | 'server_error'
  | 'timeout_error'
  | 'tokens';

interface CatalogueEntry {
  readonly status: number;
  readonly type: ErrorType;
  readonly message: string;
  /** Seconds after which another attempt may succeed. */
  readonly retryAfterSeconds?: number;
  /** The `code` that clients see, where several rows share one. */
  readonly wireCode?: string;
  /** Whether a client should try again, where the status does not say so. */
  readonly shouldRetry?: boolean;
}

const catalogue = {
  bad_request: entry(400, 'invalid_request_error', 'The request could not be understood.'),
  invalid_json: entry(400, 'invalid_request_error', 'The request body is not valid JSON.'),
  invalid_value: entry(
    400,
    'invalid_request_error',
    'A field of the request has an invalid value.',
  ),
  missing_required_parameter: entry(400, 'invalid_request_error', 'A required field is missing.'),
  unsupported_parameter: entry(400, 'invalid_request_error', 'A field is not supported.'),
  unsupported_model: entry(
    400,
    'invalid_request_error',
    'This model does not support text generation: it has no chat and no completions.',
  ),
  context_length_exceeded: entry(
    400,
    'invalid_request_error',
    'The prompt and the completion do not fit the context.',
  ),
  invalid_api_key: entry(401, 'invalid_request_error', 'A valid API key is required.'),
  insufficient_scope: entry(403, 'permission_error', 'The API key may not do this.'),
  model_not_allowed: entry(403, 'permission_error', 'The API key may not use this model.'),
  not_found: entry(404, 'invalid_request_error', 'There is no such endpoint.'),
  response_not_found: entry(404, 'invalid_request_error', 'There is no such response.'),
  previous_response_not_found: entry(
    404,
    'invalid_request_error',
    'There is no such response to go on from.',
  ),
  model_not_found: entry(404, 'invalid_request_error', 'The model does not exist.'),
  method_not_allowed: entry(405, 'invalid_request_error', 'The method is not allowed here.'),
  request_timeout: entry(408, 'timeout_error', 'The request took too long to arrive.'),
  payload_too_large: entry(413, 'invalid_request_error', 'The request body is too large.'),
  uri_too_long: entry(414, 'invalid_request_error', 'The request line is too long.'),
  unsupported_media_type: entry(
    415,
    'invalid_request_error',
    'The request body must be sent as application/json.',
  ),
  rate_limit_exceeded: entry(429, 'rate_limit_error', 'Rate limit reached.', 60),
  concurrency_exceeded: {
    ...entry(429, 'requests', 'Too many requests of this key are running.', 1),
    wireCode: 'rate_limit_exceeded',
  },
  tokens_exceeded: {
    ...entry(429, 'tokens', 'Rate limit reached.', 60),
    wireCode: 'rate_limit_exceeded',
  },
  insufficient_quota: {
    ...entry(429, 'insufficient_quota', 'The API key has used its tokens of today.', 60),
    shouldRetry: false,
  },
  header_fields_too_large: entry(
    431,
    'invalid_request_error',
    'The request has too many or too large headers.',
  ),
  internal_error: entry(
    500,
    'server_error',
    'The server had an error while processing the request.',
  ),
  reload_failed: entry(500, 'server_error', 'The keys could not be reloaded.'),
  sequence_failed: {
    ...entry(500, 'server_error', 'The completion could not be continued.'),
    // The same request fails again.
    shouldRetry: false,
  },
  engine_failed: entry(500, 'server_error', 'The inference engine failed.'),
  completion_timeout: {
    ...entry(504, 'timeout_error', 'Request timed out'),
    wireCode: 'request_timeout',
  },
  model_loading: entry(503, 'server_error', 'The model is still loading.', 2),
  model_failed: entry(503, 'server_error', 'The model could not be loaded.', 30),
  embeddings_unavailable: entry(
    503,
    'server_error',
    'There is no room for embeddings beside what is running.',
    30,
  ),
  queue_full: entry(503, 'server_error', 'Too many requests are waiting.', 5),
  queue_timeout: entry(503, 'server_error', 'The request has waited too long for its turn.', 5),
  shutting_down: entry(503, 'server_error', 'The server is shutting down.', 5),
} as const satisfies Record<string, CatalogueEntry>;

/** Every code a {@link GatewayError} can carry. */
export type ErrorCode = keyof typeof catalogue;

/** The `code` that clients see, which several causes may share. */
export function wireCodeOf(code: ErrorCode): string {
  const row: CatalogueEntry = catalogue[code];
  return row.wireCode ?? code;
}

/** A prompt, and the context that it does not fit. */
export interface ContextOverflow {
  readonly tokenCount: number;
  readonly contextLength: number;
}

/** What an error may carry beyond its row of the catalogue. */
export interface ErrorDetail {
  /** Replaces the row's default sentence; names the key, the expectation and the value received. */
  readonly message?: string;
  /** Path of the offending field, such as `messages[2].content`. */
  readonly param?: string;
  /** How long the prompt is, where it does not fit: APIs have sentences of their own for it. */
  readonly overflow?: ContextOverflow;
  /** Replaces the value of the row by a better estimate. */
  readonly retryAfterSeconds?: number;
  /** The exact wait, which the message may name as well. */
  readonly retryAfterMs?: number;
  /** The caught error; logged, never sent. */
  readonly cause?: unknown;
}

/** OpenAI's error body: always all four keys. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** OpenAI's clients ignore a longer wait, and try again after a few seconds instead. */
const maxRetryMs = 60_000;

/**
 * A failure that is reported to the client. Thrown where it is detected and translated once, in
 * `http/error-handler.ts`.
 */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly type: ErrorType;
  readonly param: string | undefined;
  readonly overflow: ContextOverflow | undefined;
  /**
   * Milliseconds after which the client should try again, at most {@link maxRetryMs}; undefined: nothing suggests that
   * another attempt would succeed.
   */
  readonly retryAfterMs: number | undefined;
  /** Whether the wait is an estimate, so that many clients may have received the same. */
  readonly isRetryEstimated: boolean;
  /** Whether the client should try again; undefined: the status says so. */
  readonly shouldRetry: boolean | undefined;

  constructor(code: ErrorCode, detail: ErrorDetail = {}) {
    const row: CatalogueEntry = catalogue[code];
    super(detail.message ?? row.message, { cause: detail.cause });
    this.name = 'GatewayError';
    this.code = code;
    this.status = row.status;
    this.type = row.type;
    this.param = detail.param;
    this.overflow = detail.overflow;
    const estimate = detail.retryAfterSeconds ?? row.retryAfterSeconds;
    const waitMs = detail.retryAfterMs ?? (estimate && estimate * 1000);
    this.retryAfterMs = waitMs && Math.min(maxRetryMs, Math.ceil(waitMs));
    this.isRetryEstimated = detail.retryAfterMs === undefined;
    this.shouldRetry = row.shouldRetry ?? (this.retryAfterMs === undefined ? undefined : true);
  }

  /** The wire form of a plain reply and of an error frame in a stream. */
  toBody(): ErrorBody {
    return {
      error: {
        message: this.message,
        type: this.type,
        param: this.param ?? null,
        code: wireCodeOf(this.code),
      },
    };
  }
}

function entry(
  status: number,
  type: ErrorType,
  message: string,
  retryAfterSeconds?: number,
): CatalogueEntry {
  return retryAfterSeconds === undefined
    ? { status, type, message }
    : { status, type, message, retryAfterSeconds };
}
