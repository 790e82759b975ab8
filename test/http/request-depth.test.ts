/** Values within each other, in fields of any kind: a request is refused, never answered by 500. */
import { describe, expect, test } from 'vitest';
import { chatBody, startGateway } from '../support/start-gateway.ts';

const deep = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`;
const whole = JSON.stringify(chatBody({}));

/** The body with a field more, whose value is JSON text. */
const bodyWith = (name: string, value: string) => `${whole.slice(0, -1)},"${name}":${value}}`;

describe.each([200, 20_000])('%i levels', (levels) => {
  const value = deep(levels);
  test.each([
    ['logit_bias', `{"5":${value}}`],
    ['tool_choice', `{"type":${value}}`],
    ['tools', `[{"type":"function","function":{"name":"f","parameters":{"x":${value}}}}]`],
    ['messages', `[{"role":"user","content":${value}}]`],
    ['unknown', value],
  ])('in %s', async (name, text) => {
    const { app } = startGateway();
    const reply = await app.inject({
      method: 'POST',
      url: '/v1/chat/completions',
      headers: { 'content-type': 'application/json' },
      payload: bodyWith(name, text),
    });
    // Nobody reads an unknown field.
    const isIgnored = name === 'unknown' && levels < 256;
    expect(reply.statusCode, reply.body).toBe(isIgnored ? 200 : 400);
  });

  test('in the arguments of a call', async () => {
    const call = `{"id":"a","function":{"name":"f","arguments":{"x":${value}}}}`;
    const messages = `[{"role":"user","content":"Hi"},{"role":"assistant","tool_calls":[${call}]}]`;
    const { app } = startGateway();
    const reply = await app.inject({
      method: 'POST',
      url: '/v1/chat/completions',
      headers: { 'content-type': 'application/json' },
      payload: bodyWith('messages', messages),
    });
    expect(reply.statusCode, reply.body).toBe(levels < 256 ? 200 : 400);
  });
});
