/** As many tools as agents with several MCP servers send: 200 of them, 300 KB of definitions. */
import { expect, test } from 'vitest';
import { startGateway } from '../support/start-gateway.ts';

const properties = Object.fromEntries(
  Array.from({ length: 6 }, (_, index) => [
    `field_${index}`,
    { type: 'string', description: `What the tool does with it. ${'More words. '.repeat(12)}` },
  ]),
);
const schema = { type: 'object', properties, required: ['field_0'] };
const tools = Array.from({ length: 200 }, (_, index) => ({
  name: `tool_${index}`,
  description: 'Does one of many things. '.repeat(4),
  schema,
}));
const question = [{ role: 'user', content: 'Hi' }];

test.each([
  [
    '/v1/chat/completions',
    {
      messages: question,
      tools: tools.map(({ schema: parameters, ...tool }) => ({
        ...{ type: 'function', function: { ...tool, parameters } },
      })),
    },
  ],
  [
    '/v1/responses',
    {
      input: question,
      tools: tools.map(({ schema: parameters, ...tool }) => ({
        ...{ type: 'function', ...tool, parameters },
      })),
    },
  ],
  [
    '/v1/messages',
    {
      ...{ messages: question, max_tokens: 10 },
      tools: tools.map(({ schema: input_schema, ...tool }) => ({ ...tool, input_schema })),
    },
  ],
])('%s offers all of them', async (url, body) => {
  const { app, engine } = startGateway();
  expect(JSON.stringify(body.tools).length).toBeGreaterThan(300_000);
  const reply = await app.inject({ method: 'POST', url, payload: body });
  expect(reply.statusCode).toBe(200);
  expect(engine.chatOptions.at(-1)?.tools).toHaveLength(200);
});
