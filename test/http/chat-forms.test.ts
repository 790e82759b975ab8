/** The forms of a reply that a request or an operator asks for: where reasoning stands, and how calls are named. */
import { describe, expect, test } from 'vitest';
import type { ReplyDelta } from '../../src/engine/generator.ts';
import { parseSse } from '../support/read-sse.ts';
import { postChat, startGateway, type TestGateway } from '../support/start-gateway.ts';

const thoughts: readonly ReplyDelta[] = [
  { type: 'reasoning-delta', text: 'Let me ' },
  { type: 'reasoning-delta', text: 'think.' },
];
const answer: readonly ReplyDelta[] = [
  { type: 'text-delta', text: 'It is' },
  { type: 'text-delta', text: ' noon.' },
];
const call: readonly ReplyDelta[] = [
  { type: 'tool-call', index: 0, id: 'call_1', name: 'clock' },
  { type: 'tool-call-delta', index: 0, arguments: '{"zone"' },
  { type: 'tool-call-delta', index: 0, arguments: ':1}' },
];

type Delta = Record<string, unknown>;

/** The message of a reply, and the deltas of the same reply as a stream. */
async function replyTo(
  { app }: TestGateway,
  fields: Record<string, unknown>,
): Promise<{ message: Delta; deltas: Delta[]; finishReasons: unknown[] }> {
  const whole = await postChat(app, fields);
  expect(whole.statusCode, whole.body).toBe(200);
  const [choice] = whole.json().choices;
  const streamed = await postChat(app, { ...fields, stream: true });
  const choices = parseSse(streamed.body).flatMap((each) =>
    each === 'done' ? [] : (each.json as { choices: Delta[] }).choices,
  );
  const end = choices.find(({ finish_reason: reason }) => reason !== null);
  return {
    message: choice.message,
    deltas: choices.map(({ delta }) => delta as Delta).slice(1, -1),
    finishReasons: [choice.finish_reason, end?.finish_reason],
  };
}

function gatewayThat(
  says: readonly ReplyDelta[],
  options: Parameters<typeof startGateway>[0] = {},
) {
  const gateway = startGateway(options);
  gateway.engine.script.parts = says;
  return gateway;
}

describe('reasoning is', () => {
  const says = [...thoughts, ...answer];
  const both = { reasoning_content: 'Let me think.', reasoning: 'Let me think.' };

  test.each<[string, Record<string, unknown>, object]>([
    ['under `reasoning_content`', {}, { reasoning_content: 'Let me think.' }],
    [
      'where the format is `auto`',
      { reasoning_format: 'auto' },
      { reasoning_content: 'Let me think.' },
    ],
    ['under both names for OpenRouter’s clients', { reasoning: {} }, both],
    ['under both names where it is asked for', { include_reasoning: true }, both],
  ])('%s', async (_name, fields, expected) => {
    const { message, deltas } = await replyTo(gatewayThat(says), fields);
    expect(message).toEqual({
      role: 'assistant',
      content: 'It is noon.',
      refusal: null,
      ...expected,
    });
    const names = Object.keys(expected);
    expect(deltas.slice(0, 2).map((delta) => Object.keys(delta))).toEqual([names, names]);
    expect(deltas[0]).toEqual(Object.fromEntries(names.map((name) => [name, 'Let me '])));
    expect(deltas.slice(2)).toEqual([{ content: 'It is' }, { content: ' noon.' }]);
  });

  test.each(['reasoning', 'reasoning_content', 'both'] as const)(
    'where the operator wants it: %s',
    async (reasoningField) => {
      const { message } = await replyTo(gatewayThat(says, { reasoningField }), {});
      const names = Object.keys(message).filter((name) => name.startsWith('reasoning'));
      expect(names).toEqual(reasoningField === 'both' ? Object.keys(both) : [reasoningField]);
    },
  );

  test.each([
    { include_reasoning: false },
    { reasoning: { exclude: true } },
    { reasoning_format: 'hidden' },
    { reasoning_format: 'raw', include_reasoning: false },
  ])('left out with %j', async (fields) => {
    const { message, deltas } = await replyTo(gatewayThat(says), fields);
    expect(message).toEqual({ role: 'assistant', content: 'It is noon.', refusal: null });
    expect(deltas).toEqual([{ content: 'It is' }, { content: ' noon.' }]);
  });

  test.each(['none', 'raw'])('within the content with the format %s', async (format) => {
    const { message, deltas } = await replyTo(gatewayThat(says), { reasoning_format: format });
    const content = '<think>\nLet me think.\n</think>\n\nIt is noon.';
    expect(message).toEqual({ role: 'assistant', content, refusal: null });
    expect(deltas.map((delta) => delta.content).join('')).toBe(content);
    expect(deltas.flatMap(Object.keys)).toEqual(deltas.map(() => 'content'));
  });

  test('closed before a call and at the end, and open where the limit cut it', async () => {
    const fields = { reasoning_format: 'none' };
    const closed = '<think>\nLet me think.\n</think>\n\n';
    const calling = await replyTo(gatewayThat([...thoughts, ...call]), fields);
    expect(calling.message).toMatchObject({ content: closed, tool_calls: [{ id: 'call_1' }] });
    const ended = await replyTo(gatewayThat(thoughts), fields);
    expect(ended.message.content).toBe(closed);
    expect(ended.deltas.map((delta) => delta.content).join('')).toBe(closed);
    const cut = gatewayThat(thoughts);
    cut.engine.script.finishReason = 'length';
    expect((await replyTo(cut, fields)).message.content).toBe('<think>\nLet me think.');
  });

  test('of each choice by itself', async () => {
    const { app } = gatewayThat(says);
    const reply = await postChat(app, { reasoning_format: 'raw', n: 2 });
    const contents = reply
      .json()
      .choices.map((choice: { message: Delta }) => choice.message.content);
    expect(contents).toEqual(Array(2).fill('<think>\nLet me think.\n</think>\n\nIt is noon.'));
  });
});

describe('calls', () => {
  const functions = [{ name: 'clock', parameters: { type: 'object' } }];
  const tools = functions.map((each) => ({ type: 'function', function: each }));

  test('of `functions` have OpenAI’s older form', async () => {
    const gateway = gatewayThat(call);
    gateway.engine.script.finishReason = 'tool-calls';
    const { message, deltas, finishReasons } = await replyTo(gateway, { functions });
    expect(message).toEqual({
      role: 'assistant',
      content: null,
      refusal: null,
      function_call: { name: 'clock', arguments: '{"zone":1}' },
    });
    expect(deltas).toEqual([
      { function_call: { name: 'clock', arguments: '' } },
      { function_call: { arguments: '{"zone"' } },
      { function_call: { arguments: ':1}' } },
    ]);
    expect(finishReasons).toEqual(['function_call', 'function_call']);
    expect(gateway.engine.chatOptions[0]).toMatchObject({ parallelToolCalls: false });
  });

  test('of `tools` have the form of tools', async () => {
    const gateway = gatewayThat(call);
    gateway.engine.script.finishReason = 'tool-calls';
    const { message, finishReasons } = await replyTo(gateway, { tools, function_call: 'auto' });
    expect(message).toMatchObject({ tool_calls: [{ function: { arguments: '{"zone":1}' } }] });
    expect(message).not.toHaveProperty('function_call');
    expect(finishReasons).toEqual(['tool_calls', 'tool_calls']);
  });

  test('that a history has in the older form are calls and results', async () => {
    const gateway = gatewayThat(answer);
    const { engine } = gateway;
    const messages = [
      { role: 'user', content: 'What time is it?' },
      { role: 'assistant', content: null, function_call: { name: 'clock', arguments: '{}' } },
      { role: 'function', name: 'clock', content: 'noon' },
    ];
    await replyTo(gateway, { functions, messages });
    expect(engine.preparedChats[0]).toMatchObject([
      { role: 'user' },
      { role: 'assistant', tool_calls: [{ function: { name: 'clock' } }] },
      { role: 'tool', name: 'clock', content: 'noon' },
    ]);
  });
});
