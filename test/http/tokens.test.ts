import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { CountedTokens, Tokens } from '../../src/api/chat/tokenize-shapes.ts';
import { Content } from '../../src/api/text/detokenize-shapes.ts';
import type { Gateway } from '../../src/server/gateway.ts';
import { card, chatBody, startGateway } from '../support/start-gateway.ts';

const post = (app: Gateway, url: string, payload: object) =>
  app.inject({ method: 'POST', url, payload });

describe('/tokenize', () => {
  test('gives the ids', async () => {
    const { app } = startGateway();
    const reply = await post(app, '/tokenize', { content: 'one two three' });
    expect(reply.statusCode).toBe(200);
    expect(Schema.Check(Tokens, reply.json())).toBe(true);
    expect(reply.json()).toEqual({ tokens: [0, 1, 2] });
  });

  test.each([
    [{}, { addSpecial: false, parseSpecial: true }],
    [
      { add_special: null, parse_special: null },
      { addSpecial: false, parseSpecial: true },
    ],
    [
      { add_special: true, parse_special: false },
      { addSpecial: true, parseSpecial: false },
    ],
  ])('with %j asks for %j', async (fields, expected) => {
    const { app, engine } = startGateway();
    await post(app, '/tokenize', { content: 'x', ...fields });
    expect(engine.tokenizeCalls).toEqual([{ text: 'x', ...expected }]);
  });

  test('gives pieces as text, or as bytes where they are no text by themselves', async () => {
    const { app, engine } = startGateway();
    engine.script.pieces = [Buffer.from('é'), Buffer.from([0xc3])];
    const reply = await post(app, '/tokenize', { content: 'a b', with_pieces: true });
    expect(Schema.Check(Tokens, reply.json())).toBe(true);
    expect(reply.json()).toEqual({
      tokens: [
        { id: 0, piece: 'é' },
        { id: 1, piece: [0xc3] },
      ],
    });
  });

  test('gives the pieces of a long text in their order', async () => {
    const { app } = startGateway();
    const content = Array(200).fill('x').join(' ');
    const { tokens } = (await post(app, '/tokenize', { content, with_pieces: true })).json();
    expect(tokens).toEqual(Array.from({ length: 200 }, (_, id) => ({ id, piece: ` ${id}` })));
  });

  test('gives pieces of 65536 tokens at most', async () => {
    const { app } = startGateway();
    const content = 'x '.repeat(65_537);
    expect((await post(app, '/tokenize', { content })).json().tokens).toHaveLength(65_537);
    const reply = await post(app, '/tokenize', { content, with_pieces: true });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param: 'with_pieces', code: 'invalid_value' });
    expect(reply.json().error.message).toContain('received 65537');
  });

  test('has no tokens for no text', async () => {
    const { app } = startGateway();
    for (const with_pieces of [false, true]) {
      const reply = await post(app, '/tokenize', { content: '', with_pieces });
      expect(reply.json()).toEqual({ tokens: [] });
    }
  });

  test.each([
    [{}, 'content', 'missing_required_parameter'],
    [{ content: 5 }, 'content', 'invalid_value'],
    [{ content: 'a\ud800' }, 'content', 'invalid_value'],
    [{ content: 'a', add_special: 1 }, 'add_special', 'invalid_value'],
    [{ content: 'a', parse_special: 'no' }, 'parse_special', 'invalid_value'],
    [{ content: 'a', with_pieces: [] }, 'with_pieces', 'invalid_value'],
  ])('refuses %j', async (body, param, code) => {
    const { app, engine } = startGateway();
    const reply = await post(app, '/tokenize', body);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param, code });
    expect(engine.tokenizeCalls).toEqual([]);
  });
});

describe('/tokenize in the form of vLLM', () => {
  test('of a prompt counts the tokens, with the BOS token unless it is left out', async () => {
    const { app, engine } = startGateway();
    const reply = await post(app, '/tokenize', { model: card.id, prompt: 'one two' });
    expect(Schema.Check(CountedTokens, reply.json())).toBe(true);
    expect(reply.json()).toEqual({
      count: 2,
      max_model_len: 2048,
      tokens: [0, 1],
      token_strs: null,
    });
    await post(app, '/tokenize', { prompt: 'x', add_special_tokens: false });
    expect(engine.tokenizeCalls.map(({ addSpecial }) => addSpecial)).toEqual([true, false]);
  });

  test('has the texts of the tokens on request', async () => {
    const { app, engine } = startGateway();
    engine.script.pieces = [Buffer.from('é'), Buffer.from([0xc3])];
    const reply = await post(app, '/tokenize', { prompt: 'a b', return_token_strs: true });
    expect(reply.json().token_strs).toEqual(['é', '\ufffd']);
  });

  test('of a chat gives the tokens of its prompt', async () => {
    const { app, engine } = startGateway();
    const fields = { add_generation_prompt: true, add_special_tokens: false };
    const reply = await post(app, '/tokenize', { ...chatBody(), ...fields });
    expect(reply.statusCode, reply.body).toBe(200);
    expect(reply.json()).toEqual({
      count: 3,
      max_model_len: 2048,
      tokens: [1, 2, 3],
      token_strs: null,
    });
    expect(engine.preparedChats).toHaveLength(1);
  });

  test.each([
    [{ prompt: 5 }, 'prompt', 'invalid_value'],
    [{ prompt: 'a', content: 'b' }, 'prompt', 'invalid_value'],
    [{ prompt: 'a', messages: chatBody().messages }, 'messages', 'invalid_value'],
    [{ messages: [] }, 'messages', 'invalid_value'],
    [{ messages: [{ role: 'nobody', content: 'x' }] }, 'messages[0].role', 'invalid_value'],
    [{ prompt: 'a', return_token_strs: 'yes' }, 'return_token_strs', 'invalid_value'],
  ])('refuses %j', async (body, param, code) => {
    const { app } = startGateway();
    const reply = await post(app, '/tokenize', body);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param, code });
  });

  test('follows STRICT_MODEL, which llama-server does not have', async () => {
    const { app } = startGateway({ strictModel: true });
    const statusOf = async (body: object) => (await post(app, '/tokenize', body)).statusCode;
    expect(await statusOf({ prompt: 'x', model: card.id })).toBe(200);
    expect(await statusOf({ prompt: 'x', model: 'other' })).toBe(404);
    expect(await statusOf({ content: 'x' })).toBe(200);
  });
});

describe('/detokenize', () => {
  test('gives the text', async () => {
    const { app } = startGateway();
    const reply = await post(app, '/detokenize', { tokens: [5, 0, 31_999] });
    expect(reply.statusCode).toBe(200);
    expect(Schema.Check(Content, reply.json())).toBe(true);
    expect(reply.json()).toEqual({ content: ' 5 0 31999', prompt: ' 5 0 31999' });
  });

  test('has no text for no tokens', async () => {
    const { app } = startGateway();
    expect((await post(app, '/detokenize', { tokens: [] })).json()).toEqual({
      content: '',
      prompt: '',
    });
  });

  test.each([
    [{}, 'tokens', 'missing_required_parameter'],
    [{ tokens: 'x' }, 'tokens', 'invalid_value'],
    [{ tokens: [1, -1] }, 'tokens[1]', 'invalid_value'],
    [{ tokens: [1, '2'] }, 'tokens[1]', 'invalid_value'],
    [{ tokens: [1.5] }, 'tokens[0]', 'invalid_value'],
    [{ tokens: [1, 2, 32_000] }, 'tokens[2]', 'invalid_value'],
  ])('refuses %j', async (body, param, code) => {
    const { app } = startGateway();
    const reply = await post(app, '/detokenize', body);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param, code });
    expect(reply.json().error.message).toContain(`\`${param}\``);
  });
});

test('without a model both are 503, and with GET 405', async () => {
  const { app } = startGateway({ loading: true });
  const replies = [
    await post(app, '/tokenize', { content: 'x' }),
    await post(app, '/detokenize', { tokens: [] }),
  ];
  for (const reply of replies) {
    expect(reply.statusCode).toBe(503);
    expect(reply.json().error.code).toBe('model_loading');
  }
  expect((await app.inject('/tokenize')).statusCode).toBe(405);
});
