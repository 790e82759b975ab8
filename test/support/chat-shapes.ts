/**
 * Shapes of conversations, with a probe word in every part: whatever the roles and their order, every word must
 * reach the prompt.
 */
import type { ChatMessage, ChatOptions, ToolCall } from '../../src/engine/chat.ts';

/** A conversation of one shape. */
export interface ChatShape {
  readonly messages: readonly ChatMessage[];
  readonly options: ChatOptions;
  /** What the prompt must contain. */
  readonly words: readonly string[];
}

const system = (word: string): ChatMessage => ({ role: 'system', content: word });
const developer = (word: string): ChatMessage => ({ role: 'developer', content: word });
const user = (word: string): ChatMessage => ({ role: 'user', content: word });
const assistant = (word: string): ChatMessage => ({ role: 'assistant', content: word });
const calling = (words: readonly string[], content = ''): ChatMessage => ({
  role: 'assistant',
  content,
  tool_calls: words.map(toCall),
});
const result = (callWord: string, word: string): ChatMessage => ({
  role: 'tool',
  content: word,
  tool_call_id: idOf(callWord),
  name: 'look_up',
});

function idOf(word: string): string {
  return word.padEnd(9, '0').slice(0, 9);
}

function toCall(word: string): ToolCall {
  const call = { name: 'look_up', arguments: JSON.stringify({ what: word }) };
  return { id: idOf(word), type: 'function', function: call };
}

const tools: ChatOptions = {
  tools: [
    {
      name: 'look_up',
      description: 'lemon',
      parameters: {
        type: 'object',
        properties: { what: { type: 'string', description: 'melon' } },
        required: ['what'],
      },
    },
  ],
};
const toolWords = ['look_up', 'lemon', 'melon'];

function shape(messages: readonly ChatMessage[], options: ChatOptions = {}): ChatShape {
  const words = messages.flatMap(({ content, tool_calls }) => [
    ...(content === '' ? [] : [content]),
    ...(tool_calls ?? []).map(
      ({ function: call }) => (JSON.parse(call.arguments) as { what: string }).what,
    ),
  ]);
  return { messages, options, words: options.tools ? [...words, ...toolWords] : words };
}

const question = user('apple');
const [call, answer, next] = [calling(['grape']), assistant('peach'), user('cherry')];
const grown = result('grape', 'olive');

/** By what is special about them. */
export const chatShapes: Readonly<Record<string, ChatShape>> = {
  'a user message': shape([question]),
  'a system message first': shape([system('basil'), question]),
  'two system messages first': shape([system('basil'), system('thyme'), question]),
  'system, then developer': shape([system('basil'), developer('thyme'), question]),
  'a developer message first': shape([developer('basil'), question]),
  'a system message alone': shape([system('basil')]),
  'two system messages alone': shape([system('basil'), system('thyme')]),
  'a late system message': shape([question, answer, system('thyme'), next]),
  'a late system message between user messages': shape([question, system('thyme'), next]),
  'first and late system messages': shape([
    system('basil'),
    question,
    answer,
    system('thyme'),
    next,
  ]),
  'a system message last': shape([question, system('thyme')]),
  'a system message last, after a reply': shape([
    system('basil'),
    question,
    answer,
    system('thyme'),
  ]),
  'three rows of system messages': shape([
    system('basil'),
    system('thyme'),
    question,
    system('mint'),
    developer('sage'),
    next,
    answer,
    system('dill'),
  ]),
  'two user messages in a row': shape([question, next]),
  'two replies in a row': shape([question, answer, assistant('mango'), next]),
  'the assistant first': shape([answer, question]),
  'the assistant first, after a system message': shape([system('basil'), answer, question]),
  'an empty reply between user messages': shape([question, assistant(''), next]),
  'an empty reply last': shape([question, assistant('')]),
  'three turns': shape([
    question,
    answer,
    next,
    assistant('mango'),
    user('quince'),
    assistant('lime'),
    user('fig'),
  ]),
  'a continued reply': shape([question, answer]),
  'a continued reply, after a system message': shape([system('basil'), question, answer]),
  'a continued reply of the second turn': shape([question, answer, next, assistant('mango')]),
  'a continued reply alone': shape([answer]),
  tools: shape([question], tools),
  'tools and a system message': shape([system('basil'), question], tools),
  'tools and a developer message': shape([developer('basil'), question], tools),
  'tools and two system messages': shape([system('basil'), system('thyme'), question], tools),
  'tools and a continued reply': shape([question, answer], tools),
  'a call and its result': shape([question, call, grown], tools),
  'a call and its result, after a system message': shape(
    [system('basil'), question, call, grown],
    tools,
  ),
  'a call of an earlier turn': shape([question, call, grown, answer, next], tools),
  'a call, no tools any more': shape([question, call, grown, answer, next]),
  'a call with text beside it': shape(
    [question, calling(['grape'], 'plum'), grown, answer, next],
    tools,
  ),
  'two calls in a row': shape([question, call, grown, calling(['kiwi']), result('kiwi', 'pear')], {
    ...tools,
  }),
  'two calls at once': shape(
    [question, calling(['grape', 'kiwi']), grown, result('kiwi', 'pear'), answer, next],
    tools,
  ),
  'two calls at once, with text beside them': shape(
    [question, calling(['grape', 'kiwi'], 'plum'), grown, result('kiwi', 'pear'), answer, next],
    tools,
  ),
  'two calls at once, the results in another order': shape(
    [question, calling(['grape', 'kiwi']), result('kiwi', 'pear'), grown],
    tools,
  ),
  'a user message after a result': shape([question, call, grown, next], tools),
  'a system message after a result': shape([question, call, grown, system('thyme'), next], tools),
  'a result without a call': shape([question, grown, next], tools),
  'a call without a result': shape([question, call, next], tools),
};
