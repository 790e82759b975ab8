/** The formats of vLLM, SGLang and llama-server, on both endpoints that generate text. */
import { describe, expect, test } from 'vitest';
import type { FakeEngine } from '../support/fake-engine.ts';
import { postChat, postText, reuseGateway } from '../support/start-gateway.ts';

const endpoints = [
  ['chats', postChat, ({ chatOptions }: FakeEngine) => chatOptions[0]],
  ['text completions', postText, ({ plainFormats }: FakeEngine) => plainFormats[0]],
] as const;

const schema = { type: 'integer' };
const gbnf = 'root ::= "a"';
const digits = { contentGrammar: 'root ::= [0-9]{3,3}\n' };
const inLines = { contentGrammar: 'root ::= [a]\n' };
const answers = { contentGrammar: 'root ::= "no" | "yes"\n' };

describe.each(endpoints)('of %s', (_, post, formatOf) => {
  test.each<[Record<string, unknown>, object]>([
    [{ response_format: { type: 'json_object' } }, { jsonSchema: { type: 'object' } }],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } },
      { jsonSchema: schema },
    ],
    [{ json_schema: schema }, { jsonSchema: schema }],
    [{ json_schema: JSON.stringify(schema) }, { jsonSchema: schema }],
    [{ grammar: gbnf }, { grammar: gbnf }],
    [{ guided_json: schema }, { jsonSchema: schema }],
    [{ guided_json: JSON.stringify(schema) }, { jsonSchema: schema }],
    [{ guided_regex: '[0-9]{3}' }, digits],
    [{ guided_choice: ['yes', 'no'] }, answers],
    [{ guided_grammar: gbnf }, inLines],
    [{ regex: '^[0-9]{3}$' }, digits],
    [{ ebnf: gbnf }, inLines],
    [{ structured_outputs: { json: schema } }, { jsonSchema: schema }],
    [{ structured_outputs: { json: JSON.stringify(schema), regex: null } }, { jsonSchema: schema }],
    [{ structured_outputs: { regex: '[0-9]{3}' } }, digits],
    [{ structured_outputs: { choice: ['yes', 'no'] } }, answers],
    [{ structured_outputs: { grammar: gbnf } }, inLines],
    [{ structured_outputs: { json_object: true } }, { jsonSchema: { type: 'object' } }],
    [
      { structured_outputs: { json: schema, disable_additional_properties: true } },
      { jsonSchema: schema },
    ],
    [{ structured_outputs: {} }, {}],
    [{ structured_outputs: { json_object: false, whitespace_pattern: null } }, {}],
    [{ guided_json: null, guided_regex: '', guided_grammar: '', guided_choice: null }, {}],
    [{ response_format: { type: 'text' }, guided_regex: '[0-9]{3}' }, digits],
  ])('%j', async (fields, expected) => {
    const { app, engine } = reuseGateway();
    const reply = await post(app, fields);
    expect(reply.statusCode, reply.body).toBe(200);
    expect(formatOf(engine)).toEqual(expected);
  });

  test.each<[Record<string, unknown>, string, string?]>([
    [{ guided_json: '{' }, 'guided_json'],
    [{ guided_json: '[1]' }, 'guided_json'],
    [{ guided_json: 5 }, 'guided_json'],
    [{ guided_regex: '(' }, 'guided_regex', 'unsupported_parameter'],
    [{ guided_regex: '(?=a)b' }, 'guided_regex', 'unsupported_parameter'],
    [{ regex: '(a*)*' }, 'regex', 'unsupported_parameter'],
    [{ guided_choice: [] }, 'guided_choice'],
    [{ guided_choice: ['a', 5] }, 'guided_choice[1]'],
    [{ guided_grammar: 'start: "a" | "b"' }, 'guided_grammar', 'unsupported_parameter'],
    [{ ebnf: 'root ::= (' }, 'ebnf', 'unsupported_parameter'],
    [
      { structured_outputs: { grammar: '%import common.WORD\nstart: WORD' } },
      'structured_outputs.grammar',
      'unsupported_parameter',
    ],
    [
      { structured_outputs: { structural_tag: '{}' } },
      'structured_outputs.structural_tag',
      'unsupported_parameter',
    ],
    [{ structured_outputs: { choice: [] } }, 'structured_outputs.choice'],
    [{ structured_outputs: { json: schema, regex: 'a' } }, 'structured_outputs.regex'],
    [{ guided_json: schema, guided_regex: 'a' }, 'guided_regex'],
    [{ response_format: { type: 'json_object' }, guided_choice: ['a'] }, 'guided_choice'],
    [{ guided_whitespace_pattern: ' ' }, 'guided_whitespace_pattern', 'unsupported_parameter'],
  ])('%j is refused', async (fields, param, code = 'invalid_value') => {
    const { app, engine } = reuseGateway();
    const reply = await post(app, fields);
    expect(reply.statusCode, reply.body).toBe(400);
    expect(reply.json().error).toMatchObject({ param, code });
    expect(engine.requests).toEqual([]);
  });

  test('says that Lark is not GBNF', async () => {
    const { app } = reuseGateway();
    const { message } = (await post(app, { guided_grammar: 'start: "a"' })).json().error;
    expect(message).toMatch(/GBNF.*Lark/);
  });
});

test('a text format and tools exclude each other, unless no tool may be called', async () => {
  const { app } = reuseGateway();
  const tools = [{ type: 'function', function: { name: 'f' } }];
  const refused = await postChat(app, { tools, guided_choice: ['a'] });
  expect(refused.json().error).toMatchObject({ param: 'guided_choice', code: 'invalid_value' });
  expect((await postChat(app, { tools, guided_json: schema })).statusCode).toBe(200);
  const without = await postChat(app, { tools, tool_choice: 'none', guided_choice: ['a'] });
  expect(without.statusCode).toBe(200);
});
