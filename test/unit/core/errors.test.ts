import { describe, expect, test } from 'vitest';
import { GatewayError } from '../../../src/core/errors.ts';

describe('a gateway error', () => {
  test('takes status, type and sentence from the catalogue', () => {
    const error = new GatewayError('queue_full');
    expect(error).toMatchObject({
      name: 'GatewayError',
      code: 'queue_full',
      status: 503,
      type: 'server_error',
      message: 'Too many requests are waiting.',
      param: undefined,
      retryAfterMs: 5000,
    });
  });

  test('has a body with all four keys, null where there is nothing to say', () => {
    expect(new GatewayError('not_found').toBody()).toEqual({
      error: {
        message: 'There is no such endpoint.',
        type: 'invalid_request_error',
        param: null,
        code: 'not_found',
      },
    });
  });

  test('may have its own message and parameter', () => {
    const error = new GatewayError('invalid_value', { message: 'No.', param: 'messages[0]' });
    expect(error.toBody().error).toMatchObject({ message: 'No.', param: 'messages[0]' });
  });

  test('keeps its cause to itself', () => {
    const cause = new Error('secret');
    const error = new GatewayError('engine_failed', { cause });
    expect(error.cause).toBe(cause);
    expect(JSON.stringify(error.toBody())).not.toContain('secret');
  });

  test.each([
    ['invalid_json', 400],
    ['unsupported_parameter', 400],
    ['context_length_exceeded', 400],
    ['unsupported_model', 400],
    ['model_not_found', 404],
    ['response_not_found', 404],
    ['previous_response_not_found', 404],
    ['method_not_allowed', 405],
    ['request_timeout', 408],
    ['payload_too_large', 413],
    ['uri_too_long', 414],
    ['unsupported_media_type', 415],
    ['header_fields_too_large', 431],
    ['internal_error', 500],
    ['engine_failed', 500],
    ['embeddings_unavailable', 503],
    ['shutting_down', 503],
  ] as const)('%s is %i', (code, status) => {
    expect(new GatewayError(code).status).toBe(status);
  });

  test.each(['model_loading', 'model_failed', 'queue_full', 'shutting_down'] as const)(
    '%s says when to try again',
    (code) => {
      expect(new GatewayError(code).retryAfterMs).toBeGreaterThan(0);
    },
  );

  test.each([
    [{ retryAfterMs: 1573.2 }, 1574],
    [{ retryAfterMs: 86_400_000 }, 60_000],
    [{ retryAfterSeconds: 12 }, 12_000],
    [{ retryAfterSeconds: 500 }, 60_000],
    [{}, 5000],
  ])('names a wait of at most a minute: %j', (detail, waitMs) => {
    expect(new GatewayError('queue_full', detail)).toMatchObject({
      retryAfterMs: waitMs,
      isRetryEstimated: !('retryAfterMs' in detail),
    });
  });
});
