/** Bodies with one seeded violation of their schema: each is refused, in the form of its API. */
import { describe, expect, test } from 'vitest';
import { MessageRequest } from '../../src/api/messages/message-shapes.ts';
import { ResponseRequest } from '../../src/api/responses/response-shapes.ts';
import { SeededRandom, testSeed } from '../../tools/fixtures/seeded-random.ts';
import { isLong } from '../support/long.ts';
import { card, reuseGateway } from '../support/start-gateway.ts';
import { broken, pick, violationsOf } from '../support/violate-schema.ts';

const bodyCount = isLong ? 10_000 : 500;
const seed = testSeed();

const parameters = { type: 'object', properties: { city: { type: 'string' } } };

const responses = [
  { model: card.id, input: 'Tell a story' },
  {
    model: card.id,
    instructions: 'Be brief.',
    input: [
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'a' }] },
      { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'x' },
      { type: 'function_call', call_id: 'c1', name: 'f', arguments: '{}' },
      { type: 'function_call_output', call_id: 'c1', output: 'one' },
      { type: 'custom_tool_call', call_id: 'c2', name: 'p', input: 'a' },
      { type: 'custom_tool_call_output', call_id: 'c2', output: 'done' },
    ],
    tools: [
      { type: 'function', name: 'f', description: 'd', parameters, strict: false },
      { type: 'custom', name: 'p', format: { type: 'text' } },
    ],
    tool_choice: 'auto',
    parallel_tool_calls: true,
    text: { format: { type: 'json_schema', name: 'a', schema: parameters }, verbosity: 'low' },
    reasoning: { effort: 'low', summary: 'auto' },
    include: ['reasoning.encrypted_content'],
    metadata: { a: 'b' },
    stream_options: { include_obfuscation: false },
    max_output_tokens: 50,
    temperature: 0.5,
    top_p: 0.9,
    stop: ['x'],
    store: false,
    stream: false,
  },
];

const messages = [
  { model: card.id, max_tokens: 10, messages: [{ role: 'user', content: 'Tell a story' }] },
  {
    model: card.id,
    max_tokens: 10,
    system: [{ type: 'text', text: 'Be brief.' }],
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'a' }] },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'Hm', signature: 'x' },
          { type: 'tool_use', id: 't1', name: 'f', input: {} },
        ],
      },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't1', is_error: false }] },
    ],
    tools: [{ name: 'f', description: 'd', input_schema: parameters, strict: false }],
    tool_choice: { type: 'auto', disable_parallel_tool_use: true },
    thinking: { type: 'enabled', budget_tokens: 100 },
    output_config: { effort: 'low', format: { type: 'json_schema', schema: parameters } },
    stop_sequences: ['x'],
    metadata: { user_id: 'u' },
    temperature: 0.5,
    top_k: 4,
    stream: false,
  },
];

const text = expect.stringMatching(/./);

describe.each([
  {
    url: '/v1/responses',
    schema: ResponseRequest,
    bodies: responses,
    form: { error: { message: text, type: 'invalid_request_error', param: text, code: text } },
  },
  {
    url: '/v1/messages',
    schema: MessageRequest,
    bodies: messages,
    form: {
      type: 'error',
      error: { type: 'invalid_request_error', message: text },
      request_id: text,
    },
  },
])('$url', ({ url, schema, bodies, form }) => {
  test('answers the bodies that are broken below', async () => {
    const { app } = reuseGateway();
    for (const payload of bodies) {
      const reply = await app.inject({ method: 'POST', url, payload });
      expect(reply.statusCode, reply.body).toBe(200);
    }
  });

  test(`refuses ${bodyCount} bodies with one violation each (seed ${seed})`, async () => {
    const { app } = reuseGateway();
    const random = new SeededRandom(seed);
    const known = bodies.map((body) => ({ body, violations: violationsOf(schema, body) }));
    for (let count = 0; count < bodyCount; count++) {
      const { body, violations } = pick(known, random);
      const violation = pick(violations, random);
      const reply = await app.inject({ method: 'POST', url, payload: broken(body, violation) });
      const context = `${JSON.stringify(violation)}: ${reply.body}`;
      expect(reply.statusCode, context).toBe(400);
      expect(reply.json(), context).toEqual(form);
    }
  }, 300_000);
});
