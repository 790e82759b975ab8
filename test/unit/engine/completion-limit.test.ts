import { describe, expect, test } from 'vitest';
import { GatewayError } from '../../../src/core/errors.ts';
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
  ])('is %s', (_name, change, expected) => {
    expect(completionLimit({ ...bounds, ...change })).toBe(expected);
  });

  test.each([
    ['one token more than there is room for', { requestedTokenCount: 101 }, 201, 100, 101],
    ['a prompt that fills the context', { promptTokenCount: 200 }, 201, 200, 1],
    ['a prompt longer than the context', { promptTokenCount: 300 }, 301, 300, 1],
    ['a limit that could never fit', { requestedTokenCount: 2 ** 40 }, 2 ** 40 + 100, 100, 2 ** 40],
  ])('refuses %s, with the numbers', (_name, change, total, prompt, completion) => {
    const attempt = () => completionLimit({ ...bounds, ...change });
    expect(attempt).toThrow(GatewayError);
    expect(attempt).toThrow(
      expect.objectContaining({
        code: 'context_length_exceeded',
        param: 'messages',
        message:
          `This model's maximum context length is 200 tokens. However, you requested ${total} tokens ` +
          `(${prompt} in the messages, ${completion} in the completion). Please reduce the length of ` +
          'the messages or completion.',
      }),
    );
  });

  test('names the field that holds the prompt', () => {
    const attempt = () =>
      completionLimit({ ...bounds, promptField: 'prompt', requestedTokenCount: 101 });
    expect(attempt).toThrow(
      expect.objectContaining({
        param: 'prompt',
        message: expect.stringContaining(
          '(100 in the prompt, 101 in the completion). Please reduce the length of the prompt or completion.',
        ),
      }),
    );
  });
});
