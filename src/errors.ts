/**
 * The one error class of the gateway and the table every instance is made from. `code` is part of the
 * public API: clients branch on it, so a row may be added but never renamed.
 */

/** OpenAI's `error.type` values that this gateway uses. */
export type ErrorType =
  | 'invalid_request_error'
  | 'rate_limit_error'
  | 'server_error'
  | 'timeout_error';

interface CatalogueEntry {
  readonly status: number;
  readonly type: ErrorType;
  readonly message: string;
  /** Seconds a client should wait before it tries again; sent as `Retry-After`. */
  readonly retryAfterSeconds?: number;
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
    'This model continues no text: it has no chat and no completions.',
  ),
  context_length_exceeded: entry(
    400,
    'invalid_request_error',
    'The prompt and the completion do not fit the context.',
  ),
  not_found: entry(404, 'invalid_request_error', 'There is no such endpoint.'),
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
  sequence_failed: entry(500, 'server_error', 'The completion could not be continued.'),
  engine_failed: entry(500, 'server_error', 'The inference engine failed.'),
  model_loading: entry(503, 'server_error', 'The model is still loading.', 2),
  model_failed: entry(503, 'server_error', 'The model could not be loaded.', 30),
  embeddings_unavailable: entry(
    503,
    'server_error',
    'There is no room for embeddings beside what is running.',
    30,
  ),
  queue_full: entry(503, 'server_error', 'Too many requests are waiting.', 5),
  shutting_down: entry(503, 'server_error', 'The server is shutting down.', 5),
} as const satisfies Record<string, CatalogueEntry>;

/** Every code a {@link GatewayError} can carry. */
export type ErrorCode = keyof typeof catalogue;

/** What may be said beyond the catalogue's row. */
export interface ErrorDetail {
  /** Replaces the row's default sentence; names the key, the expectation and the value received. */
  readonly message?: string;
  /** Path of the offending field, such as `messages[2].content`. */
  readonly param?: string;
  /** What was caught; logged, never sent. */
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

/**
 * A failure that a client is told about. Thrown where it is detected and translated once, in
 * `plugins/error-handler.ts`.
 */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly type: ErrorType;
  readonly param: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, detail: ErrorDetail = {}) {
    const row: CatalogueEntry = catalogue[code];
    super(detail.message ?? row.message, { cause: detail.cause });
    this.name = 'GatewayError';
    this.code = code;
    this.status = row.status;
    this.type = row.type;
    this.param = detail.param;
    this.retryAfterSeconds = row.retryAfterSeconds;
  }

  /** The wire form, for a plain reply and for an error frame of a stream alike. */
  toBody(): ErrorBody {
    return {
      error: {
        message: this.message,
        type: this.type,
        param: this.param ?? null,
        code: this.code,
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
