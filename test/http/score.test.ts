import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { ScoreList } from '../../src/api/vectors/score-shapes.ts';
import type { Gateway } from '../../src/server/gateway.ts';
import { card, startGateway } from '../support/start-gateway.ts';

const ranker = {
  generates: false,
  embedding: { pooling: 'rank', width: 8, contextLength: 16 },
} as const;

const post = (app: Gateway, payload: object, url = '/v1/score') =>
  app.inject({ method: 'POST', url, payload });

describe('scores by a model that ranks', () => {
  test.each(['/v1/score', '/score'])('by %s, of one text and several', async (url) => {
    const { app, engine } = startGateway({ engineInfo: ranker });
    engine.script.scores = [0.25, 0.75];
    const reply = await post(app, { text_1: 'which one', text_2: ['first', 'second one'] }, url);
    expect(reply.statusCode, reply.body).toBe(200);
    expect(Schema.Check(ScoreList, reply.json())).toBe(true);
    expect(reply.json()).toEqual({
      id: expect.stringMatching(/^score-/),
      object: 'list',
      created: expect.any(Number),
      model: card.id,
      data: [
        { index: 0, object: 'score', score: 0.25 },
        { index: 1, object: 'score', score: 0.75 },
      ],
      usage: { prompt_tokens: 7, total_tokens: 7 },
    });
    expect(engine.rankings).toEqual([{ query: 'which one', documents: ['first', 'second one'] }]);
  });

  test('of pairs, in their order', async () => {
    const { app, engine } = startGateway({ engineInfo: ranker });
    const body = { queries: ['a', 'b', 'a'], documents: ['one', 'two', 'three'] };
    const { data } = (await post(app, body)).json();
    expect(engine.rankings).toEqual([
      { query: 'a', documents: ['one', 'three'] },
      { query: 'b', documents: ['two'] },
    ]);
    expect(data.map(({ score }: { score: number }) => score)).toEqual([0, 0, 0.5]);
  });

  test('of several texts and one', async () => {
    const { app, engine } = startGateway({ engineInfo: ranker });
    await post(app, { data_1: ['a', 'b'], data_2: 'one' });
    expect(engine.rankings.map(({ query }) => query)).toEqual(['a', 'b']);
  });

  test('is refused for a pair that does not fit', async () => {
    const { app } = startGateway({ engineInfo: ranker });
    const reply = await post(app, { text_1: 'a', text_2: ['b', 'word '.repeat(20)] });
    expect(reply.json().error).toMatchObject({
      code: 'context_length_exceeded',
      param: 'text_2[1]',
    });
  });
});

describe('scores by vectors', () => {
  test('are their cosines, each text computed once', async () => {
    const { app, engine } = startGateway();
    const reply = await post(app, { text_1: 'same', items: ['same', 'another text'] });
    expect(reply.statusCode, reply.body).toBe(200);
    expect(engine.preparedInputs).toEqual([['same', 'another text']]);
    const { data, usage } = reply.json();
    expect(data[0].score).toBeCloseTo(1);
    expect(data[1].score).toBeGreaterThan(0);
    expect(data[1].score).toBeLessThan(1);
    expect(usage).toEqual({ prompt_tokens: 3, total_tokens: 3 });
  });
});

test.each<[body: object, code: string, param: string]>([
  [{ text_2: 'x' }, 'missing_required_parameter', 'text_1'],
  [{ text_1: 'x' }, 'missing_required_parameter', 'text_2'],
  [{ text_1: 'x', text_2: [] }, 'invalid_value', 'text_2'],
  [{ text_1: 'x', text_2: ['a', ''] }, 'invalid_value', 'text_2[1]'],
  [{ text_1: 5, text_2: 'x' }, 'invalid_value', 'text_1'],
  [{ text_1: 'x', queries: 'y', text_2: 'z' }, 'invalid_value', 'queries'],
  [{ text_1: ['a', 'b'], text_2: ['c', 'd', 'e'] }, 'invalid_value', 'text_2'],
])('%j is refused', async (body, code, param) => {
  for (const engineInfo of [ranker, {}]) {
    const { app } = startGateway({ engineInfo });
    const reply = await post(app, body);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ code, param });
  }
});
