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

test('tools are limited by the length of their text, not by their number', async () => {
  const problems = new RequestProblems();
  expect(await readTools(toolsOf(2000, 'short'), problems)).toHaveLength(2000);
  expect(() => problems.throwIfAny()).not.toThrow();
  expect(await readTools(toolsOf(4, 'x'.repeat(300_000)), problems)).toEqual([]);
  expect(() => problems.throwIfAny()).toThrow(
    /^`tools` must have at most 1048576 characters of JSON, received \d+\.$/,
  );
});

test('schemas that take long are read between other work', async () => {
  const hostile = (index: number) => ({
    type: 'string',
    pattern: `^(?=.*[a-z]{${(index % 10) + 1}})(?=.*[A-Z])(?=.*\\d)[A-Za-z\\d]{8,64}x${index}$`,
  });
  const properties = (tool: number) =>
    Array.from({ length: 20 }, (_, index) => [`p${index}`, hostile(tool * 20 + index)]);
  const body = {
    messages: [],
    tools: Array.from({ length: 10 }, (_, tool) => ({
      type: 'function',
      function: {
        name: `tool${tool}`,
        parameters: { type: 'object', properties: Object.fromEntries(properties(tool)) },
      },
    })),
  } as unknown as ChatCompletionRequest;
  let [isRead, turns] = [false, 0];
  const count = () => {
    turns += 1;
    if (!isRead) setImmediate(count);
  };
  setImmediate(count);
  const problems = new RequestProblems();
  expect(await readTools(body, problems)).toHaveLength(10);
  isRead = true;
  expect(turns).toBeGreaterThanOrEqual(9);
  expect(() => problems.throwIfAny()).not.toThrow();
});
