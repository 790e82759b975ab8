import { describe, expect, test } from 'vitest';
import { readMessages } from '../../../../src/api/chat/chat-messages.ts';
import type { RequestMessage } from '../../../../src/api/chat/chat-shapes.ts';
import { RequestProblems } from '../../../../src/api/fields/request-problems.ts';

type Message = Partial<RequestMessage> & Pick<RequestMessage, 'role'>;

function read(...messages: Message[]) {
  const problems = new RequestProblems();
  const chat = readMessages(messages as RequestMessage[], problems);
  problems.throwIfAny();
  return chat;
}
const call = (id: string | undefined, name: string, ...text: unknown[]) => ({
  ...(id !== undefined && { id }),
  function: { name, ...(text.length > 0 && { arguments: text[0] }) },
});
const calling = (...calls: object[]): Message =>
  ({ role: 'assistant', content: null, tool_calls: calls }) as Message;
const result = (content: string, id?: string, name?: string): Message => ({
  role: 'tool',
  content,
  ...(id !== undefined && { tool_call_id: id }),
  ...(name !== undefined && { name }),
});
const idsOf = (messages: ReturnType<typeof read>) =>
  messages.map(({ tool_calls: calls, tool_call_id: id }) => calls?.map((each) => each.id) ?? id);

describe('the arguments of a call', () => {
  test.each([
    ['{"city": "Par', '{"city": "Par'],
    ['{', '{'],
    ['Paris', 'Paris'],
    ['[1]', '[1]'],
    ['null', 'null'],
    ['{}{}', '{}{}'],
    ["{'city': 'Paris'}", "{'city': 'Paris'}"],
    ['{"a": "x\ny"}', '{"a": "x\ny"}'],
    ['', '{}'],
    [undefined, '{}'],
    [null, '{}'],
    [{ city: 'Paris' }, '{"city":"Paris"}'],
    [[1], '[1]'],
    [5, '5'],
    [false, 'false'],
    ['{"__proto__": 1}', '{"__proto__": 1}'],
  ])('%j are the text %j', (sent, text) => {
    const [message] = read(calling(call('a', 'f', sent)));
    expect(message?.tool_calls).toEqual([
      { id: 'a', type: 'function', function: { name: 'f', arguments: text } },
    ]);
  });

  test('of a call with a text of its own are that text', () => {
    const [message] = read(
      calling({ id: 'a', type: 'custom', custom: { name: 'sh', input: 'ls -l' } }),
    );
    expect(message?.tool_calls?.[0]?.function).toEqual({ name: 'sh', arguments: 'ls -l' });
  });
});

describe('results and their calls', () => {
  test('meet by id, and stand in the order of the calls', () => {
    const messages = read(
      calling(call('a', 'f'), call('b', 'g')),
      result('two', 'b'),
      result('one', 'a'),
    );
    expect(messages.slice(1)).toEqual([
      { role: 'tool', content: 'one', tool_call_id: 'a', name: 'f' },
      { role: 'tool', content: 'two', tool_call_id: 'b', name: 'g' },
    ]);
  });

  test('meet by order where ids are missing, and calls get ids of nine letters and digits', () => {
    const messages = read(
      calling(call(undefined, 'f'), call('', 'g')),
      result('one'),
      result('two', ''),
      calling(call(undefined, 'f')),
      result('three'),
    );
    expect(idsOf(messages)).toEqual([
      ['call00000', 'call00001'],
      'call00000',
      'call00001',
      ['call00002'],
      'call00002',
    ]);
    expect(messages.map(({ name }) => name)).toEqual([undefined, 'f', 'g', undefined, 'f']);
  });

  test('meet by name before they meet by order', () => {
    const messages = read(
      calling(call(undefined, 'f'), call(undefined, 'g')),
      result('two', undefined, 'g'),
      result('one'),
    );
    expect(messages.slice(1).map(({ content }) => content)).toEqual(['one', 'two']);
  });

  test('meet by order where the client has changed an id', () => {
    expect(idsOf(read(calling(call('a', 'f')), result('one', 'b')))).toEqual([['a'], 'a']);
  });

  test('keep their ids apart where a server numbers the calls of each reply', () => {
    const messages = read(
      calling(call('0', 'f'), call('0', 'g')),
      result('one', '0'),
      result('two', '0'),
      { role: 'assistant', content: 'ok' },
      calling(call('0', 'f')),
      result('three', '0'),
    );
    expect(idsOf(messages)).toEqual([
      ['0', 'call00001'],
      '0',
      'call00001',
      undefined,
      ['call00002'],
      'call00002',
    ]);
  });

  test('do not get the id that another call has', () => {
    expect(idsOf(read(calling(call('call00001', 'f'), call(undefined, 'g'))))).toEqual([
      ['call00001', 'call00002'],
    ]);
  });

  test('may lack each other', () => {
    const messages = read(
      result('lost', 'x', 'f'),
      result('lost too'),
      calling(call('a', 'f')),
      { role: 'user', content: 'Go on.' },
      calling(call('b', 'g')),
      result('one', 'a'),
      result('again', 'a'),
    );
    expect(idsOf(messages)).toEqual(['x', undefined, ['a'], undefined, ['b'], 'a', 'a']);
    expect(messages[0]).toEqual({ role: 'tool', content: 'lost', tool_call_id: 'x', name: 'f' });
    expect(messages[1]).toEqual({ role: 'tool', content: 'lost too' });
  });

  test('may have the names of the older form', () => {
    const messages = read(
      { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{"a":1}' } },
      { role: 'function', name: 'f', content: 'one' },
    );
    expect(messages).toEqual([
      {
        role: 'assistant',
        content: '',
        tool_calls: [
          { id: 'call00000', type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
        ],
      },
      { role: 'tool', content: 'one', tool_call_id: 'call00000', name: 'f' },
    ]);
    const both = {
      ...calling(call('a', 'f', '{"a":1}')),
      function_call: { name: 'f', arguments: '{"a":1}' },
    };
    expect(idsOf(read(both))).toEqual([['a']]);
  });

  test('take time in proportion to their number', () => {
    const count = 50_000;
    const calls = Array.from({ length: count }, () => call(undefined, 'f'));
    const results = Array.from({ length: count }, () => result('x', 'unknown', 'f'));
    const start = performance.now();
    const messages = read(calling(...calls), ...results);
    expect(new Set(messages.slice(1).map((each) => each.tool_call_id)).size).toBe(count);
    // A search through all calls for each result would take minutes.
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});

describe('contents', () => {
  test.each([
    ['user', null, ''],
    ['user', [], ''],
    ['tool', null, ''],
    ['tool', undefined, ''],
    ['assistant', undefined, ''],
    ['user', ['a', { type: 'text', text: 'b' }], 'a\nb'],
    ['user', [{ type: 'input_text', text: 'a' }], 'a'],
    ['user', [{ type: 'text', text: null }], ''],
    ['assistant', [{ type: 'output_text', text: 'a' }], 'a'],
    ['assistant', [{ type: 'refusal', refusal: 'No.' }], 'No.'],
  ] as const)('of %s: %j', (role, content, text) => {
    const message = { role, content } as unknown as Message;
    expect(read(message)[0]?.content).toBe(text);
  });

  test('of a refusal is its text, where there is no other', () => {
    expect(read({ role: 'assistant', content: null, refusal: 'No.' })[0]?.content).toBe('No.');
    expect(read({ role: 'assistant', content: 'Yes.', refusal: null })[0]?.content).toBe('Yes.');
  });

  test.each([
    'image_url',
    'image',
    'input_image',
    'input_audio',
    'video_url',
    'file',
    'input_file',
  ])('of type %s are refused by name', (type) => {
    expect(() => read({ role: 'user', content: [{ type }] })).toThrow(
      `\`messages[0].content[0]\` is not supported; only parts of text are, received \`${type}\`.`,
    );
  });
});
