import { expect, test } from 'vitest';
import type { ChatCompletionRequest } from '../../../../src/api/chat/chat-shapes.ts';
import { readTools } from '../../../../src/api/chat/chat-tools.ts';
import { RequestProblems } from '../../../../src/api/fields/request-problems.ts';

const toolsOf = (count: number, description: string) =>
  ({
    tools: Array.from({ length: count }, (_, index) => ({
      type: 'function',
      function: { name: `tool_${index}`, description },
    })),
  }) as unknown as ChatCompletionRequest;

test('tools are limited by the length of their text, not by their number', () => {
  const problems = new RequestProblems();
  expect(readTools(toolsOf(2000, 'short'), problems).tools).toHaveLength(2000);
  expect(() => readTools(toolsOf(4, 'x'.repeat(300_000)), problems)).toThrow(
    /^`tools` must have at most 1048576 characters of JSON, received \d+\.$/,
  );
});
