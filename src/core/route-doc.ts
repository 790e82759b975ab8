/** The description of a route in the API document, and lists of errors that routes share. */
import type { TSchema } from 'typebox';
import type { ErrorCode } from './errors.ts';

/** A schema under the name it has in the API document. */
export interface NamedSchema {
  readonly name: string;
  readonly schema: TSchema;
}

/** A keyword of a request's schema that validation ignores. */
export const documentedKeyword = 'x-documented';

/**
 * An option of a request's schema: keywords that only the API document shows. For values that the handler checks instead
 * of the schema, to return a more specific error.
 */
export function documented(narrower: object): { readonly [documentedKeyword]: object } {
  return { [documentedKeyword]: narrower };
}

/** A parameter of the query string. */
export interface QueryParameter {
  readonly description: string;
  /** All valid values, where they can be listed. */
  readonly values?: readonly string[];
  /** A keyword of JSON Schema for the others: `date` is a day like 2026-11-24. */
  readonly format?: 'date';
  readonly pattern?: string;
}

/** The description of a route in the API document, besides its path and method. */
export interface RouteDoc {
  readonly operationId: string;
  /** The heading that the operation is listed under. */
  readonly tag: 'Completions' | 'Embeddings' | 'Models' | 'Tokens' | 'Server';
  readonly summary: string;
  readonly description?: string;
  /** The name of the wildcard at the end of the path. */
  readonly pathParameter?: { readonly name: string; readonly description: string };
  readonly queryParameters?: Readonly<Record<string, QueryParameter>>;
  readonly body?: NamedSchema & { readonly example: object };
  /** Undefined where the reply has no body. */
  readonly reply: (NamedSchema & { readonly example?: object }) | PlainReply | undefined;
  /** The reply with status 503, where it is no error body. */
  readonly unavailable?: PlainReply;
  /** The content of each frame, where the reply can be a stream. */
  readonly chunk?: NamedSchema;
  /** The errors of the route itself; authentication, limits and the server add theirs. */
  readonly errors?: readonly ErrorCode[];
}

/** A reply without a schema. */
export interface PlainReply {
  readonly mediaType: string;
  /** The media types that the client can ask for instead. */
  readonly otherMediaTypes?: readonly string[];
  readonly description: string;
}

/** Errors of any JSON body. */
export const bodyErrors = [
  'bad_request',
  'invalid_json',
  'invalid_value',
  'missing_required_parameter',
  'payload_too_large',
  'unsupported_media_type',
] as const satisfies readonly ErrorCode[];

/** Errors of a key whose tokens are used up. */
export const tokenErrors = [
  'tokens_exceeded',
  'insufficient_quota',
] as const satisfies readonly ErrorCode[];

/** Errors of a model that is not ready. */
export const modelErrors = [
  'model_loading',
  'model_failed',
] as const satisfies readonly ErrorCode[];

/** Errors of admission. */
export const admissionErrors = [
  'queue_full',
  'queue_timeout',
  'shutting_down',
] as const satisfies readonly ErrorCode[];

/** Errors of a request for a completion. */
export const completionErrors = [
  ...bodyErrors,
  ...modelErrors,
  'unsupported_parameter',
  'context_length_exceeded',
  'model_not_found',
  'sequence_failed',
  'engine_failed',
  'completion_timeout',
  ...tokenErrors,
  ...admissionErrors,
] as const satisfies readonly ErrorCode[];

/** Errors of a request that computes inputs and generates no text. */
export const inputErrors = [
  ...bodyErrors,
  ...modelErrors,
  'unsupported_model',
  'unsupported_parameter',
  'context_length_exceeded',
  'embeddings_unavailable',
  'model_not_found',
  'completion_timeout',
  ...tokenErrors,
  ...admissionErrors,
] as const satisfies readonly ErrorCode[];
