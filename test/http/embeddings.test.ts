import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { EmbeddingList } from '../../src/api/vectors/embedding-shapes.ts';
import { GatewayError } from '../../src/core/errors.ts';
import { InputError } from '../../src/engine/embedder.ts';
import type { Gateway } from '../../src/server/gateway.ts';
import { gate } from '../support/fake-engine.ts';
import { fitsOpenAiSchema, hasOpenAiSchemas } from '../support/openai-schemas.ts';
import { card, listen, startGateway } from '../support/start-gateway.ts';

/** The smallest valid body, and what a test adds to it. */
function post(app: Gateway, fields: Record<string, unknown> = {}) {
  const payload = { model: card.id, input: 'one two three', ...fields };
  return app.inject({ method: 'POST', url: '/v1/embeddings', payload });
}

const width = 8;
const norm = (vector: readonly number[]) => Math.hypot(...vector);

function fromBase64(text: string): number[] {
  const bytes = Buffer.from(text, 'base64');
  return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(4 * index));
}

test('that takes too long is 504, and the engine is told', async () => {
  const { app, engine } = startGateway({ generationTimeoutMs: 20 });
  engine.script.beforeVectors = () => new Promise(() => {});
  const reply = await post(app);
  expect(reply.statusCode).toBe(504);
  expect(reply.json().error).toMatchObject({ type: 'timeout_error', code: 'request_timeout' });
});

describe('an embedding', () => {
  test('has OpenAI’s shape, unit norm and exact usage', async () => {
    const { app } = startGateway();
    const reply = await post(app);
    expect(reply.statusCode).toBe(200);
    expect(reply.headers['content-type']).toMatch(/^application\/json/);
    const body = reply.json();
    expect(Schema.Check(EmbeddingList, body)).toBe(true);
    expect(body).toMatchObject({
      object: 'list',
      model: card.id,
      data: [{ object: 'embedding', index: 0 }],
      usage: { prompt_tokens: 3, total_tokens: 3 },
    });
    expect(Object.keys(body).sort()).toEqual(['data', 'model', 'object', 'usage']);
    expect(body.data[0].embedding).toHaveLength(width);
    expect(norm(body.data[0].embedding)).toBeCloseTo(1, 6);
  });

  test('fits the official schema', async ({ skip }) => {
    if (!hasOpenAiSchemas) return skip('OPENAI_SCHEMAS is not set');
    const { app } = startGateway();
    const body = (await post(app, { input: ['a', 'b'] })).json();
    expect(fitsOpenAiSchema('CreateEmbeddingResponse', body)).toBe(true);
    expect(fitsOpenAiSchema('CreateEmbeddingResponse', { ...body, usage: {} })).toBe(false);
  });

  test.each([
    ['a string', 'a b', [['a b'], [2]]],
    [
      'strings',
      ['a', 'b c'],
      [
        ['a', 'b c'],
        [1, 2],
      ],
    ],
    ['token ids', [5, 0, 31_999], [[[5, 0, 31_999]], [3]]],
    [
      'arrays of token ids',
      [[5], [6, 7]],
      [
        [[5], [6, 7]],
        [1, 2],
      ],
    ],
    // The fake engine numbers the words of each text from 0.
    ['tokens and texts as one input', [9, 'a b', 7], [[[9, 0, 1, 7]], [4]]],
    [
      'the same within an array',
      [['a', 9], 'b', [5, 'c']],
      [
        [[0, 9], 'b', [5, 0]],
        [2, 1, 2],
      ],
    ],
    [
      'strings beside arrays',
      ['a', [6, 7]],
      [
        ['a', [6, 7]],
        [1, 2],
      ],
    ],
  ])('is made of %s', async (_, input, [inputs, counts]) => {
    const { app, engine } = startGateway();
    const reply = await post(app, { input });
    expect(reply.statusCode).toBe(200);
    expect(engine.preparedInputs).toEqual([inputs]);
    const body = reply.json();
    expect(body.data.map(({ index }: { index: number }) => index)).toEqual(
      (counts as number[]).map((_count, index) => index),
    );
    const total = (counts as number[]).reduce((sum, count) => sum + count, 0);
    expect(body.usage).toEqual({ prompt_tokens: total, total_tokens: total });
  });

  test('in base64 holds the same numbers', async () => {
    const { app } = startGateway();
    const input = ['a', 'b c'];
    const floats = (await post(app, { input, encoding_format: 'float' })).json();
    const texts = (await post(app, { input, encoding_format: 'base64' })).json();
    for (const index of [0, 1]) {
      expect(fromBase64(texts.data[index].embedding)).toEqual(floats.data[index].embedding);
    }
    expect(texts.usage).toEqual(floats.usage);
  });

  test('of 2048 inputs is one list in order', async () => {
    const { app } = startGateway();
    const input = Array.from({ length: 2048 }, (_, index) => `text ${index}`);
    const { data } = (await post(app, { input })).json();
    expect(data).toHaveLength(2048);
    expect(data.every(({ index }: { index: number }, at: number) => index === at)).toBe(true);
    expect(data[2047].embedding[1] / data[2047].embedding[2]).toBeCloseTo(2047, 0);
  });
});

describe('fields of a request', () => {
  test.each([
    { encoding_format: null },
    { encoding_format: 'float' },
    { encoding_format: 'base64' },
    { dimensions: null },
    { dimensions: 1 },
    { dimensions: width },
    { truncate: null },
    { truncate: false },
    { truncate: true },
    { truncate: 'END' },
    { truncate: 'NONE' },
    { truncate_prompt_tokens: null },
    { truncate_prompt_tokens: -1 },
    { truncate_prompt_tokens: 0 },
    { embd_normalize: 2 },
    { normalize: true },
    { truncate_prompt_tokens: 1 },
    { truncate_prompt_tokens: 16 },
    { user: 'somebody' },
    { model: null },
    { model: 'another' },
    { unknown: 1 },
  ])('%j is accepted', async (fields) => {
    const { app } = startGateway();
    expect((await post(app, fields)).statusCode).toBe(200);
  });

  test.each([
    [{ input: undefined }, 'input', 'missing_required_parameter', 'is required'],
    [{ input: null }, 'input', 'invalid_value', 'received null'],
    [{ input: '' }, 'input', 'invalid_value', 'non-empty string'],
    [{ input: [] }, 'input', 'invalid_value', 'an empty array'],
    [{ input: 5 }, 'input', 'invalid_value', 'received 5'],
    [{ input: ['a', ''] }, 'input[1]', 'invalid_value', 'non-empty'],
    [{ input: ['a', null] }, 'input[1]', 'invalid_value', 'received null'],
    [{ input: [[1], []] }, 'input[1]', 'invalid_value', 'an empty array'],
    [{ input: [[1], [[2]]] }, 'input[1][0]', 'invalid_value', 'a string or an integer'],
    [{ input: [[1], [null]] }, 'input[1][0]', 'invalid_value', 'received null'],
    [{ input: [1, [2]] }, 'input[1]', 'invalid_value', 'received an array'],
    [{ input: [1.5] }, 'input[0]', 'invalid_value', '1.5'],
    [{ input: [-1] }, 'input[0]', 'invalid_value', '-1'],
    [{ input: [5, 32_000] }, 'input[1]', 'invalid_value', 'below 32000'],
    [{ input: [[5], [32_000]] }, 'input[1][0]', 'invalid_value', 'below 32000'],
    [{ input: 'a\ud800' }, 'input', 'invalid_value', 'surrogate'],
    [{ input: ['a', 'a\ud800'] }, 'input[1]', 'invalid_value', 'surrogate'],
    [{ input: Array(2049).fill('a') }, 'input', 'invalid_value', 'received 2049'],
    [{ encoding_format: 'hex' }, 'encoding_format', 'invalid_value', '`base64`'],
    [{ encoding_format: 1 }, 'encoding_format', 'invalid_value', '`float`'],
    [{ dimensions: 0 }, 'dimensions', 'invalid_value', 'at least 1'],
    [{ dimensions: 9 }, 'dimensions', 'invalid_value', 'between 1 and 8'],
    [{ dimensions: '4' }, 'dimensions', 'invalid_value', 'an integer'],
    [{ dimensions: 1.5 }, 'dimensions', 'invalid_value', 'an integer'],
    [{ truncate: 'START' }, 'truncate', 'invalid_value', '`END`'],
    [{ truncate_prompt_tokens: -2 }, 'truncate_prompt_tokens', 'invalid_value', 'at least -1'],
    [{ embd_normalize: -1 }, 'embd_normalize', 'unsupported_parameter', 'send 2'],
    [{ normalize: false }, 'normalize', 'unsupported_parameter', 'send true'],
    [{ prompt_name: 'query' }, 'prompt_name', 'unsupported_parameter', 'leave it out'],
    [{ truncate_prompt_tokens: 17 }, 'truncate_prompt_tokens', 'invalid_value', 'between 1 and 16'],
    [{ truncate_prompt_tokens: '8' }, 'truncate_prompt_tokens', 'invalid_value', 'an integer'],
    [{ model: 5 }, 'model', 'invalid_value', 'a string'],
    [{ tools: [{}] }, 'tools', 'unsupported_parameter', 'not supported'],
  ])('%j is refused', async (fields, param, code, text) => {
    const { app, engine } = startGateway();
    const reply = await post(app, fields);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ type: 'invalid_request_error', param, code });
    expect(reply.json().error.message).toContain(text);
    expect(engine.preparedInputs).toEqual([]);
  });

  test('dimensions go to the engine', async () => {
    const { app, engine } = startGateway();
    const { data } = (await post(app, { dimensions: 3 })).json();
    expect(data[0].embedding).toHaveLength(3);
    await post(app);
    expect(engine.dimensions).toEqual([3, undefined]);
  });

  test('with strict models the id is required and checked', async () => {
    const { app } = startGateway({ strictModel: true });
    expect((await post(app)).statusCode).toBe(200);
    expect((await post(app, { model: undefined })).json().error.code).toBe(
      'missing_required_parameter',
    );
    expect((await post(app, { model: 'x' })).statusCode).toBe(404);
  });
});

describe('an input that is too long', () => {
  const input = ['short', 'word '.repeat(17)];

  test('is refused with its index and both numbers', async () => {
    const { app, engine } = startGateway();
    const reply = await post(app, { input });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({
      param: 'input[1]',
      code: 'context_length_exceeded',
    });
    expect(reply.json().error.message).toBe(
      "This model's maximum context length is 16 tokens. However, your input[1] resulted in 17 tokens. " +
        'Please reduce the length of the input[1]. (context_length_exceeded)',
    );
    expect(engine.dimensions).toEqual([]);
  });

  test('is cut where that is asked for, and counted as it was computed', async () => {
    const { app, engine } = startGateway();
    const whole = await post(app, { input, truncate: true });
    expect(whole.json().usage.prompt_tokens).toBe(17);
    const part = await post(app, { input, truncate_prompt_tokens: 4, truncate: false });
    expect(part.json().usage.prompt_tokens).toBe(5);
    expect(engine.preparedMaxTokens).toEqual([16, 4]);
  });
});

describe('what the engine says', () => {
  test('of one input is told with its path', async () => {
    const { app, engine } = startGateway();
    engine.script.inputFailure = new InputError(1, 'it has no tokens');
    const reply = await post(app, { input: ['a', ' '] });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param: 'input[1]', code: 'invalid_value' });
    expect(reply.json().error.message).toContain('it has no tokens');
  });

  test('of memory that is missing is 503 with the time to wait', async () => {
    const { app, engine } = startGateway();
    engine.script.inputFailure = new GatewayError('embeddings_unavailable');
    const reply = await post(app);
    expect(reply.statusCode).toBe(503);
    expect(reply.headers['retry-after']).toBe('30');
    expect(reply.json().error.code).toBe('embeddings_unavailable');
  });
});

describe('a model', () => {
  test('that ranks gives no embeddings', async () => {
    const { app } = startGateway({
      engineInfo: { embedding: { pooling: 'rank', width, contextLength: 16 } },
    });
    const reply = await post(app);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param: 'model', code: 'unsupported_model' });
    expect(reply.json().error.message).toContain('/v1/rerank');
  });

  test('that only embeds answers what wants text with a clear 400', async () => {
    const { app, engine } = startGateway({ engineInfo: { generates: false } });
    const messages = [{ role: 'user', content: 'hi' }];
    const bodies: [string, object][] = [
      ['/v1/chat/completions', { messages }],
      ['/v1/chat/completions', { messages, stream: true }],
      ['/v1/chat/completions/input_tokens', { messages }],
      ['/apply-template', { messages }],
      ['/v1/completions', { prompt: 'x' }],
    ];
    for (const [url, payload] of bodies) {
      const reply = await app.inject({ method: 'POST', url, payload });
      expect(reply.statusCode).toBe(400);
      expect(reply.json().error).toMatchObject({ param: 'model', code: 'unsupported_model' });
      expect(reply.json().error.message).toContain('/v1/embeddings');
    }
    expect(engine.preparedChats).toEqual([]);
    expect((await post(app)).statusCode).toBe(200);
  });

  test('that is loading is 503', async () => {
    const { app } = startGateway({ loading: true });
    expect((await post(app)).json().error.code).toBe('model_loading');
  });
});

describe('the end of a request', () => {
  test('comes with the client', async () => {
    const { app, engine, drain, logLines } = startGateway();
    engine.script.beforeVectors = () => gate().opened;
    const { baseUrl } = await listen(app);
    const controller = new AbortController();
    const reply = fetch(`${baseUrl}/v1/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ input: 'x' }),
      signal: controller.signal,
    });
    await engine.until(() => engine.stats().runningCount === 1);
    expect(drain.runningCount).toBe(1);
    controller.abort();
    await expect(reply).rejects.toThrow();
    await engine.until(({ endings }) => endings.length === 1);
    expect(engine.endings).toEqual(['cancelled']);
    await expect.poll(() => logLines.some(({ msg }) => msg === 'client left')).toBe(true);
    expect(drain.runningCount).toBe(0);
  });

  test('comes with the drain’s deadline, as 503', async () => {
    const { app, engine, drain } = startGateway();
    engine.script.beforeVectors = () => gate().opened;
    const reply = post(app);
    await engine.until(() => engine.stats().runningCount === 1);
    expect(await drain.finish(0)).toBe(1);
    expect((await reply).json().error.code).toBe('shutting_down');
    expect((await post(app)).statusCode).toBe(503);
  });

  test('GET is 405', async () => {
    const { app } = startGateway();
    const reply = await app.inject('/v1/embeddings');
    expect(reply.statusCode).toBe(405);
    expect(reply.headers.allow).toContain('POST');
  });
});

test('inputs count: in metrics, in the access log and for the gateway', async () => {
  const { app, metrics, logLines } = startGateway({ accessLog: { format: 'json' } });
  await post(app, { input: ['one two', 'three'] });
  await expect.poll(() => metrics.counts.requestsSuccess).toBe(1);
  expect(metrics.counts.requestsTotal).toBe(1);
  const scrape = await app.inject('/metrics?format=prometheus');
  expect(scrape.body).toMatch(/^gateway_input_tokens_total 3$/m);
  const line = logLines.find(({ msg }) => msg === 'request completed');
  expect(line).toMatchObject({ path: '/v1/embeddings', status: 200, promptTokenCount: 3 });
});
