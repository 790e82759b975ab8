import { describe, expect, test } from 'vitest';
import { type CompletionBounds, completionLimit } from '../../../src/engine/completion-limit.ts';

const bounds: CompletionBounds = {
  promptField: 'messages',
  promptTokenCount: 100,
  requestedTokenCount: undefined,
  defaultTokenCount: 50,
  contextLength: 200,
};

describe('the completion limit', () => {
  test.each([
    ['the default when nothing is asked for', {}, 50],
    ['the room left when that is less', { promptTokenCount: 180 }, 20],
    ['the last token of the context', { promptTokenCount: 199 }, 1],
    ['what is asked for', { requestedTokenCount: 7 }, 7],
    ['what is asked for, above the default', { requestedTokenCount: 99 }, 99],
    ['exactly the room left', { requestedTokenCount: 100 }, 100],
    ['the room left where more is asked for', { requestedTokenCount: 101 }, 100],
    [
      'the room left where more is asked for than any context has',
      { requestedTokenCount: 1e30 },
      100,
    ],
    ['nothing where nothing is asked for', { requestedTokenCount: 0 }, 0],
    [
      'nothing beside a prompt that fills the context',
      { promptTokenCount: 200, requestedTokenCount: 0 },
      0,
    ],
  ])('is %s', (_name, change, expected) => {
    expect(completionLimit({ ...bounds, ...change })).toBe(expected);
  });

  test.each([
    [
      'a prompt that fills the context',
      { promptTokenCount: 200 },
      200,
      ', which leaves no room for a completion',
    ],
    ['a prompt longer than the context', { promptTokenCount: 300 }, 300, ''],
    [
      'a prompt longer than the context without a completion',
      { promptTokenCount: 201, requestedTokenCount: 0 },
      201,
      '',
    ],
  ])('refuses %s, with the numbers', (_name, change, count, more) => {
    expect(() => completionLimit({ ...bounds, ...change })).toThrow(
      expect.objectContaining({
        code: 'context_length_exceeded',
        param: 'messages',
        message:
          `This model's maximum context length is 200 tokens. However, your messages resulted in ${count} ` +
          `tokens${more}. Please reduce the length of the messages. (context_length_exceeded)`,
      }),
    );
  });

  test('names the field that holds the prompt', () => {
    expect(() =>
      completionLimit({ ...bounds, promptField: 'prompt', promptTokenCount: 201 }),
    ).toThrow(
      expect.objectContaining({
        param: 'prompt',
        message: expect.stringContaining('your prompt resulted in 201 tokens'),
      }),
    );
  });
});
