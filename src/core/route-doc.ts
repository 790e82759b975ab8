import type { TSchema } from 'typebox';
import type { ErrorCode } from './errors.ts';

/** A schema under the name it has in the API document. */
export interface NamedSchema {
  readonly name: string;
  readonly schema: TSchema;
}

/** What the API document says of a route beside its path and method. */
export interface RouteDoc {
  readonly operationId: string;
  /** The heading it stands under. */
  readonly tag: 'Completions' | 'Embeddings' | 'Models' | 'Tokens' | 'Server';
  readonly summary: string;
  readonly description?: string;
  /** What stands in the place of a wildcard at the end of the path. */
  readonly pathParameter?: { readonly name: string; readonly description: string };
  readonly queryParameters?: Readonly<Record<string, string>>;
  readonly body?: NamedSchema & { readonly example: object };
  /** Undefined where the reply has no body. */
  readonly reply: (NamedSchema & { readonly example?: object }) | PlainReply | undefined;
  /** What each frame of a stream holds, where the reply can be one. */
  readonly chunk?: NamedSchema;
  /** Beyond those that any route can answer with. */
  readonly errors?: readonly ErrorCode[];
}

/** A reply that is no JSON of ours. */
export interface PlainReply {
  readonly mediaType: string;
  readonly description: string;
}

/** What can be wrong with a JSON body, whatever it holds. */
export const bodyErrors = [
  'invalid_json',
  'invalid_value',
  'missing_required_parameter',
  'payload_too_large',
  'unsupported_media_type',
] as const satisfies readonly ErrorCode[];

/** What keeps the model from being asked. */
export const modelErrors = [
  'model_loading',
  'model_failed',
] as const satisfies readonly ErrorCode[];

/** What keeps a request from its turn. */
export const admissionErrors = [
  'queue_full',
  'queue_timeout',
  'shutting_down',
] as const satisfies readonly ErrorCode[];

/** What a request for a completion can come to. */
export const completionErrors = [
  ...bodyErrors,
  ...modelErrors,
  'unsupported_parameter',
  'bad_request',
  'context_length_exceeded',
  'model_not_found',
  'sequence_failed',
  'engine_failed',
  ...admissionErrors,
] as const satisfies readonly ErrorCode[];

/** What a request that computes inputs, without text from the model, can come to. */
export const inputErrors = [
  ...bodyErrors,
  ...modelErrors,
  'unsupported_model',
  'unsupported_parameter',
  'context_length_exceeded',
  'embeddings_unavailable',
  'model_not_found',
  ...admissionErrors,
] as const satisfies readonly ErrorCode[];
