import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { RerankReply, TeiRanks } from '../../src/api/vectors/rerank-shapes.ts';
import { InputError } from '../../src/engine/embedder.ts';
import type { Gateway } from '../../src/server/gateway.ts';
import { card, startGateway } from '../support/start-gateway.ts';

const engineInfo = {
  generates: false,
  embedding: { pooling: 'rank', width: 8, contextLength: 16 },
} as const;

const documents = ['first one', 'second', 'third'];

function post(app: Gateway, fields: Record<string, unknown> = {}, url = '/v1/rerank') {
  const payload = { model: card.id, query: 'which one', documents, ...fields };
  return app.inject({ method: 'POST', url, payload });
}

describe('a ranking', () => {
  test.each(['/v1/rerank', '/rerank', '/reranking', '/v1/reranking', '/v2/rerank'])(
    'by %s has the best document first',
    async (url) => {
      const { app, engine } = startGateway({ engineInfo });
      engine.script.scores = [0.25, 0.75, 0.5];
      const reply = await post(app, {}, url);
      expect(reply.statusCode).toBe(200);
      expect(Schema.Check(RerankReply, reply.json())).toBe(true);
      expect(reply.json()).toEqual({
        id: expect.stringMatching(/^rerank-[0-9a-f]{32}$/),
        object: 'list',
        model: card.id,
        results: [
          { index: 1, relevance_score: 0.75 },
          { index: 2, relevance_score: 0.5 },
          { index: 0, relevance_score: 0.25 },
        ],
        usage: { prompt_tokens: 10, total_tokens: 10 },
      });
      expect(engine.rankings).toEqual([{ query: 'which one', documents }]);
    },
  );

  test('keeps the order of documents that are equally good', async () => {
    const { app, engine } = startGateway({ engineInfo });
    engine.script.scores = [0.5, 0.5, 0.5];
    const { results } = (await post(app)).json();
    expect(results.map(({ index }: { index: number }) => index)).toEqual([0, 1, 2]);
  });

  test.each([
    [1, 1],
    [3, 3],
    [5, 3],
    [0, 3],
    [-1, 3],
    [null, 3],
  ])('with top_n %s has %s results', async (top_n, count) => {
    const { app } = startGateway({ engineInfo });
    const { results } = (await post(app, { top_n })).json();
    expect(results).toHaveLength(count);
    expect(results[0].index).toBe(2);
  });

  test('shows the documents where asked to', async () => {
    const { app, engine } = startGateway({ engineInfo });
    const mixed = ['one', { text: 'two' }];
    const { results } = (await post(app, { documents: mixed, return_documents: true })).json();
    expect(results).toEqual([
      { index: 1, relevance_score: 0.5, document: { text: 'two' } },
      { index: 0, relevance_score: 0, document: { text: 'one' } },
    ]);
    expect(engine.rankings[0]?.documents).toEqual(['one', 'two']);
  });

  test.each([
    [{ top_k: 2 }, 2],
    [{ top_k: 0 }, 3],
    [{ top_k: -1 }, 3],
    [{ top_k: 1, top_n: 2 }, 2],
  ])('with %j has %i results', async (fields, count) => {
    const { app } = startGateway({ engineInfo });
    expect((await post(app, fields)).json().results).toHaveLength(count);
  });

  test('has the values of the head on request', async () => {
    const { app } = startGateway({ engineInfo });
    const { results } = (await post(app, { raw_scores: true })).json();
    expect(results[1]).toEqual({ index: 1, relevance_score: 50 });
  });

  test('of texts has the form of TEI', async () => {
    const { app, engine } = startGateway({ engineInfo });
    engine.script.scores = [0.25, 0.75];
    const tei = { documents: undefined, texts: ['one', 'two'] };
    const reply = await post(app, { ...tei, truncate: false, raw_scores: false }, '/rerank');
    expect(Schema.Check(TeiRanks, reply.json())).toBe(true);
    expect(reply.json()).toEqual([
      { index: 1, score: 0.75 },
      { index: 0, score: 0.25 },
    ]);
    const shown = await post(app, { ...tei, return_text: true, raw_scores: true, top_n: 1 });
    expect(shown.json()).toEqual([{ index: 1, score: 75, text: 'two' }]);
  });

  test('takes 2048 documents', async () => {
    const { app } = startGateway({ engineInfo });
    const reply = await post(app, { documents: Array(2048).fill('a') });
    expect(reply.json().results).toHaveLength(2048);
  });
});

describe('documents that are too long', () => {
  // The fake's tokens are words, and text of the words of that number.
  const long = 'w '.repeat(30);
  const words = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, index) => ` ${from + index}`).join('');

  test.each<[fields: object, kept: string]>([
    [{ truncate: true }, words(0, 14)],
    [{ truncation: true }, words(0, 14)],
    [{ truncate: 'END' }, words(0, 14)],
    [{ truncate: 'START' }, words(16, 30)],
    [{ truncate: true, truncation_direction: 'left' }, words(16, 30)],
    [{ truncate_prompt_tokens: 10 }, words(0, 8)],
    [{ truncate_prompt_tokens: -1 }, words(0, 14)],
    [{ truncate_prompt_tokens: 100 }, words(0, 14)],
    [{ max_tokens_per_doc: 5 }, words(0, 5)],
    [{ max_tokens_per_doc: 20, truncate: true }, words(0, 14)],
  ])('are cut with %j', async (fields, kept) => {
    const { app, engine } = startGateway({ engineInfo });
    const reply = await post(app, { documents: ['short', long], ...fields });
    expect(reply.statusCode, reply.body).toBe(200);
    expect(engine.rankings.at(-1)?.documents).toEqual(['short', kept]);
  });

  test.each([{ max_tokens_per_doc: 15 }, { truncate: false }, { truncate: 'NONE' }, {}])(
    'are refused with %j',
    async (fields) => {
      const { app } = startGateway({ engineInfo });
      const reply = await post(app, { documents: ['short', long], ...fields });
      expect(reply.json().error).toMatchObject({
        code: 'context_length_exceeded',
        param: 'documents[1]',
      });
    },
  );

  test('are refused where the query leaves no room', async () => {
    const { app } = startGateway({ engineInfo });
    const reply = await post(app, { query: long, truncate: true });
    expect(reply.json().error).toMatchObject({ code: 'context_length_exceeded' });
  });
});

describe('a request for a ranking is refused', () => {
  test.each([
    [{ query: undefined }, 'query', 'missing_required_parameter'],
    [{ query: '' }, 'query', 'invalid_value'],
    [{ query: 5 }, 'query', 'invalid_value'],
    [{ query: 'a\ud800' }, 'query', 'invalid_value'],
    [{ documents: undefined }, 'documents', 'missing_required_parameter'],
    [{ documents: [] }, 'documents', 'invalid_value'],
    [{ documents: 'x' }, 'documents', 'invalid_value'],
    [{ documents: ['a', ''] }, 'documents[1]', 'invalid_value'],
    [{ documents: ['a', 5] }, 'documents[1]', 'invalid_value'],
    [{ documents: [{ title: 'a' }] }, 'documents[0].text', 'missing_required_parameter'],
    [{ documents: [{ text: '' }] }, 'documents[0].text', 'invalid_value'],
    [{ documents: [{ text: 'a\ud800' }] }, 'documents[0].text', 'invalid_value'],
    [{ documents: Array(2049).fill('a') }, 'documents', 'invalid_value'],
    [{ top_n: -2 }, 'top_n', 'invalid_value'],
    [{ top_n: '1' }, 'top_n', 'invalid_value'],
    [{ return_documents: 'yes' }, 'return_documents', 'invalid_value'],
    [{ max_tokens_per_doc: 0 }, 'max_tokens_per_doc', 'invalid_value'],
    [{ max_chunks_per_doc: 5 }, 'max_chunks_per_doc', 'unsupported_parameter'],
    [{ rank_fields: ['title'] }, 'rank_fields', 'unsupported_parameter'],
    [{ truncate: 'middle' }, 'truncate', 'invalid_value'],
    [{ texts: ['a'] }, 'texts', 'invalid_value'],
    [{ documents: undefined, texts: [] }, 'texts', 'invalid_value'],
    [{ documents: undefined, texts: ['a', ''] }, 'texts[1]', 'invalid_value'],
    [{ top_k: -2 }, 'top_k', 'invalid_value'],
  ])('with %j', async (fields, param, code) => {
    const { app, engine } = startGateway({ engineInfo });
    const reply = await post(app, fields);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param, code });
    expect(engine.rankings).toEqual([]);
  });

  test('when a document does not fit, with its index and both numbers', async () => {
    const { app } = startGateway({ engineInfo });
    const reply = await post(app, { documents: ['a', 'word '.repeat(15)] });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({
      param: 'documents[1]',
      code: 'context_length_exceeded',
    });
    expect(reply.json().error.message).toMatch(
      /^This model's maximum context length is 16 tokens\. .*documents\[1\] resulted in 17 tokens\./,
    );
  });

  test('when a document cannot be made into tokens', async () => {
    const { app, engine } = startGateway({ engineInfo });
    engine.script.inputFailure = new InputError(2, 'why not');
    const reply = await post(app);
    expect(reply.json().error).toMatchObject({ param: 'documents[2]', code: 'invalid_value' });
  });

  test('by a model without a head, which is told what is missing', async () => {
    const { app } = startGateway();
    const reply = await post(app);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param: 'model', code: 'unsupported_model' });
    expect(reply.json().error.message).toContain('classification head');
  });
});
