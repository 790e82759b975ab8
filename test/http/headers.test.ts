import { describe, expect, test } from 'vitest';
import { type ErrorCode, GatewayError } from '../../src/core/errors.ts';
import { fitsOpenAiSchema, hasOpenAiSchemas } from '../support/openai-schemas.ts';
import { postChat, postText, startGateway } from '../support/start-gateway.ts';

describe('the headers of a reply', () => {
  test.each([{}, { stream: true }, { temperature: 3 }])(
    'name the request, the version and the time it took: %j',
    async (fields) => {
      const { app } = startGateway();
      for (const post of [postChat, postText]) {
        const { headers } = await post(app, fields);
        expect(headers['x-request-id']).toMatch(/^req_[0-9a-f]{32}$/);
        expect(headers['openai-version']).toBe('2020-10-01');
        expect(headers['openai-processing-ms']).toMatch(/^\d+$/);
      }
    },
  );

  test('are there as well where no route is', async () => {
    const { app } = startGateway();
    const { statusCode, headers } = await app.inject('/v1/nothing');
    expect(statusCode).toBe(404);
    expect(headers).toMatchObject({ 'openai-version': '2020-10-01' });
  });

  test('count the time until the reply begins', async () => {
    const { app, engine } = startGateway();
    engine.script.prepare = () => new Promise((resolve) => setTimeout(resolve, 30));
    for (const stream of [false, true]) {
      const { headers } = await postChat(app, { stream });
      expect(Number(headers['openai-processing-ms'])).toBeGreaterThanOrEqual(29);
    }
  });

  test.each(['/health', '/props', '/tokenize'])('are not those of OpenAI on %s', async (url) => {
    const { app } = startGateway();
    const { headers } = await app.inject(url);
    expect(headers).not.toHaveProperty('openai-version');
    expect(headers).not.toHaveProperty('openai-processing-ms');
    expect(headers).toHaveProperty('x-request-id');
  });
});

describe('whether to try again', () => {
  test.each<[ErrorCode, string | undefined, number | undefined]>([
    ['queue_full', 'true', 5],
    ['shutting_down', 'true', 5],
    ['model_loading', 'true', 2],
    ['sequence_failed', 'false', undefined],
    ['internal_error', undefined, undefined],
    ['invalid_value', undefined, undefined],
  ])('is said for %s: %s', async (code, shouldRetry, seconds) => {
    const { app, engine } = startGateway();
    engine.script.failure = { at: 0, error: new GatewayError(code) };
    for (const stream of [false, true]) {
      const { headers, body } = await postChat(app, { stream });
      if (hasOpenAiSchemas) {
        expect(fitsOpenAiSchema('ErrorResponse', JSON.parse(body))).toBe(true);
      }
      expect(headers['x-should-retry']).toBe(shouldRetry);
      expect(headers['retry-after']).toBe(seconds === undefined ? undefined : String(seconds));
      if (seconds === undefined) {
        expect(headers).not.toHaveProperty('retry-after-ms');
      } else {
        const waitMs = Number(headers['retry-after-ms']);
        expect(Math.ceil(waitMs / 1000)).toBe(seconds);
      }
    }
  });

  test('is spread out, so that clients refused together return one by one', async () => {
    const { app, engine } = startGateway();
    engine.script.failure = { at: 0, error: new GatewayError('queue_full') };
    const replies = await Promise.all(Array.from({ length: 20 }, () => postChat(app)));
    expect(new Set(replies.map(({ headers }) => headers['retry-after-ms'])).size).toBeGreaterThan(
      5,
    );
  });
});
