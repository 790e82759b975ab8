import { describe, expect, test } from 'vitest';
import { postChat, startGateway } from '../support/start-gateway.ts';

const person = {
  type: 'object',
  properties: { name: { type: 'string' } },
  required: ['name'],
  additionalProperties: false,
};
const unenforceable = {
  type: 'object',
  properties: {
    a: { type: 'array', items: { type: 'string' }, uniqueItems: true },
    b: { type: 'string', pattern: '^(a)\\1$' },
  },
};
const looser = {
  type: 'object',
  properties: { a: { type: 'array', items: { type: 'string' } }, b: { type: 'string' } },
};
const tool = { type: 'function', function: { name: 'f', parameters: person } };

function jsonSchema(schema: unknown, more: object = {}) {
  return { response_format: { type: 'json_schema', json_schema: { name: 'x', schema, ...more } } };
}

describe('what reaches the engine', () => {
  test.each([
    [{}, {}],
    [{ response_format: null, json_schema: null, grammar: null }, {}],
    [{ response_format: { type: 'text' } }, {}],
    [{ grammar: '' }, {}],
    [{ response_format: { type: 'json_object' } }, { jsonSchema: { type: 'object' } }],
    [{ response_format: { type: 'json_object', schema: person } }, { jsonSchema: person }],
    [jsonSchema(person), { jsonSchema: person }],
    [jsonSchema(person, { strict: true }), { jsonSchema: person }],
    [jsonSchema({ title: 'T', ...person }, { strict: false }), { jsonSchema: person }],
    [{ json_schema: person }, { jsonSchema: person }],
    [{ response_format: { type: 'json_schema', schema: person } }, { jsonSchema: person }],
    [{ json_schema: {} }, { jsonSchema: { anyOf: expect.any(Array) } }],
    [jsonSchema(unenforceable), { jsonSchema: looser }],
    [jsonSchema(unenforceable, { strict: false }), { jsonSchema: looser }],
    [{ response_format: { type: 'json_object', schema: unenforceable } }, { jsonSchema: looser }],
    [{ json_schema: unenforceable }, { jsonSchema: looser }],
    [{ grammar: 'root ::= "yes" | "no"' }, { grammar: 'root ::= "yes" | "no"' }],
    [
      { ...jsonSchema(person), tools: [tool] },
      {
        jsonSchema: person,
        tools: [{ name: 'f', parameters: person }],
        toolChoice: 'auto',
      },
    ],
    [
      { json_schema: person, tools: [tool], tool_choice: 'none' },
      {
        jsonSchema: person,
        tools: [{ name: 'f', parameters: person }],
        toolChoice: 'none',
      },
    ],
  ])('of %j', async (body, expected) => {
    const { app, engine } = startGateway();
    const reply = await postChat(app, body);
    expect(reply.statusCode).toBe(200);
    expect(engine.chatOptions).toEqual([expected]);
  });
});

describe('what is refused', () => {
  test.each([
    [{ response_format: 'text' }, 'response_format', 'invalid_value'],
    [{ response_format: {} }, 'response_format.type', 'missing_required_parameter'],
    [{ response_format: { type: 'xml' } }, 'response_format.type', 'unsupported_parameter'],
    [
      { response_format: { type: 'json_schema' } },
      'response_format.json_schema',
      'missing_required_parameter',
    ],
    [jsonSchema(undefined), 'response_format.json_schema.schema', 'missing_required_parameter'],
    [jsonSchema('x'), 'response_format.json_schema.schema', 'invalid_value'],
    [jsonSchema(person, { strict: 1 }), 'response_format.json_schema.strict', 'invalid_value'],
    [
      jsonSchema(unenforceable, { strict: true }),
      'response_format.json_schema.schema.properties.a.uniqueItems',
      'unsupported_parameter',
    ],
    [
      { response_format: { type: 'json_schema', strict: true, schema: unenforceable } },
      'response_format.schema.properties.a.uniqueItems',
      'unsupported_parameter',
    ],
    [{ json_schema: true }, 'json_schema', 'invalid_value'],
    [{ grammar: 5 }, 'grammar', 'invalid_value'],
    [{ grammar: `root ::=${' "a"'.repeat(20_000)}` }, 'grammar', 'invalid_value'],
    [{ grammar: '%llguidance {}' }, 'grammar', 'unsupported_parameter'],
    [{ grammar: 'root ::= (' }, 'grammar', 'unsupported_parameter'],
    [{ json_schema: person, grammar: 'root ::= "a"' }, 'grammar', 'invalid_value'],
    [{ ...jsonSchema(person), json_schema: person }, 'json_schema', 'invalid_value'],
    [{ ...jsonSchema(person), grammar: 'root ::= "a"' }, 'grammar', 'invalid_value'],
    [{ grammar: 'root ::= "a"', tools: [tool] }, 'grammar', 'invalid_value'],
  ])('%j: %s', async (body, param, code) => {
    const { app, engine } = startGateway();
    const reply = await postChat(app, body);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param, code });
    expect(reply.json().error.message).toContain(param);
    expect(engine.chatOptions).toEqual([]);
  });
});

describe('the parameters of a tool', () => {
  const odd = { name: 'f', parameters: unenforceable };

  test('are shown as they came, and followed as far as they can be', async () => {
    const { app, engine } = startGateway();
    const reply = await postChat(app, { tools: [{ type: 'function', function: odd }, tool] });
    expect(reply.statusCode).toBe(200);
    expect(engine.chatOptions[0]?.tools).toEqual([
      {
        ...odd,
        enforced: looser,
      },
      { name: 'f', parameters: person },
    ]);
  });

  test('must be enforceable when the tool is strict', async () => {
    const { app } = startGateway();
    const strict = { type: 'function', function: { ...odd, strict: true } };
    const reply = await postChat(app, { tools: [strict] });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({
      param: 'tools[0].function.parameters.properties.a.uniqueItems',
      code: 'unsupported_parameter',
    });
    // Everything that is wrong, in one message.
    expect(reply.json().error.message).toContain('parameters.properties.b.pattern');
  });

  test('of a strict tool are enforced as they are read', async () => {
    const { app, engine } = startGateway();
    const parameters = {
      type: 'object',
      properties: { year: { type: 'integer', minimum: 1900 } },
    };
    const strict = { name: 'f', parameters, strict: true };
    await postChat(app, { tools: [{ type: 'function', function: strict }] });
    expect(engine.chatOptions[0]?.tools?.[0]?.enforced).toEqual({
      type: 'object',
      properties: { year: { type: 'integer', minimum: 1900, maximum: 999_999_999_999_999 } },
    });
  });

  test('that list values of other types come to any object', async () => {
    const { app, engine } = startGateway();
    const parameters = { enum: Array.from({ length: 2000 }, (_, index) => index) };
    const reply = await postChat(app, {
      tools: [{ type: 'function', function: { name: 'f', parameters } }],
    });
    expect(reply.statusCode).toBe(200);
    expect(engine.chatOptions[0]?.tools?.[0]?.enforced).toEqual({ type: 'object' });
  });
});

describe('schemas as SDKs write them', () => {
  test.each([
    { type: 'integer', minimum: -9007199254740991, maximum: 9007199254740991 },
    { type: 'number', minimum: 0, maximum: 1 },
    { type: 'number', exclusiveMinimum: 0 },
    { type: 'string', format: 'email', pattern: '^(?!\\.)[a-z.]+@[a-z]+\\.[a-z]{2,}$' },
    { type: 'string', format: 'uri' },
    { type: 'string', format: 'binary' },
    { type: 'string', format: 'password' },
    { type: 'integer', multipleOf: 5 },
    { type: 'object', propertyNames: { type: 'string' }, additionalProperties: {} },
    { type: 'string', maxLength: 2083 },
    { type: 'array', items: { type: 'string' }, maxItems: 1000 },
    { type: 'array', items: { type: 'string' }, minItems: null },
    { type: 'string', pattern: '^[a-z]+$', maxLength: 20 },
    { type: 'object', minProperties: 1 },
    { type: 'object', patternProperties: { '^x': { type: 'string' } } },
    { type: 'object', properties: { a: { not: {} } }, required: ['b'] },
    { type: 'string', enum: Array.from({ length: 300 }, (_, index) => `v${index}`) },
  ])('%j', async (schema) => {
    const { app } = startGateway();
    const parameters = { type: 'object', properties: { value: schema }, required: ['value'] };
    for (const strict of [true, false]) {
      const tools = [{ type: 'function', function: { name: 'f', parameters, strict } }];
      for (const body of [jsonSchema(schema, { strict }), { tools }]) {
        const reply = await postChat(app, body);
        expect(reply.statusCode, reply.body).toBe(200);
      }
    }
  });
});
