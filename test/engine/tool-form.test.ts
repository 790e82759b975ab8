import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ChatMessage, ChatOptions, Tool } from '../../src/engine/chat.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { EngineEvent } from '../../src/engine/generator.ts';
import { type LoadedModel, loadModel, startEngine } from '../../tools/fixtures/start-engine.ts';

// ChatML as the tiny models have it knows nothing of tools.

const tools: readonly Tool[] = [
  {
    name: 'get_weather',
    description: 'The weather of a city',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string', maxLength: 12 }, days: { type: 'integer' } },
      required: ['city', 'days'],
    },
  },
  { name: 'get_time', description: 'The time', parameters: { type: 'object', properties: {} } },
];
const question: readonly ChatMessage[] = [{ role: 'user', content: 'What is the weather?' }];

let loaded: LoadedModel;
let engine: GeneratingEngine;

beforeAll(async () => {
  loaded = await loadModel();
  engine = await startEngine(loaded.model, { contextLength: 1024 });
});
afterAll(async () => {
  await engine.close();
  await loaded.dispose();
});

async function eventsOf(chat: ChatOptions, seed: bigint): Promise<EngineEvent[]> {
  const prompt = await engine.generator.prepareChat(question, chat);
  const events: EngineEvent[] = [];
  const sampling = { temperature: 1.2, seed };
  for await (const event of engine.generator.generate({ prompt, maxTokens: 300, sampling })) {
    events.push(event);
  }
  return events;
}

describe('tools, where the chat template knows none', () => {
  test('are told in the system message, after what it says', async () => {
    expect(engine.info.chat.tools).toBe(true);
    const system: ChatMessage = { role: 'system', content: 'Be brief.' };
    const text = await engine.generator.renderChat([system, ...question], { tools });
    expect(text).toMatch(/^<\|im_start\|>system\nBe brief\.\n\n/);
    expect(text).toContain('"name":"get_weather"');
    expect(text.indexOf('</tools>')).toBeLessThan(text.indexOf('What is the weather?'));
    expect(await engine.generator.renderChat(question, { tools })).toMatch(
      /^<\|im_start\|>system\n/,
    );
    expect(await engine.generator.renderChat(question)).not.toContain('tools');
  });

  test('stand in the history in words: calls, and results as words of the user', async () => {
    const text = await engine.generator.renderChat(
      [
        ...question,
        {
          role: 'assistant',
          content: 'I look.',
          tool_calls: [
            {
              id: 'call_1',
              type: 'function',
              function: { name: 'get_weather', arguments: '{"city":"Paris"}' },
            },
            { id: 'call_2', type: 'function', function: { name: 'get_time', arguments: '{}' } },
          ],
        },
        { role: 'tool', content: 'sunny', tool_call_id: 'call_1' },
        { role: 'tool', content: 'noon', tool_call_id: 'call_2' },
        { role: 'user', content: 'And?' },
      ],
      { tools },
    );
    expect(text).toContain(
      'I look.\n<tool_call>\n{"name": "get_weather", "arguments": {"city":"Paris"}}\n</tool_call>\n<tool_call>',
    );
    expect(text).toContain(
      '<|im_start|>user\n<tool_response>\nsunny\n</tool_response>\n<tool_response>\nnoon\n</tool_response>\n\nAnd?<|im_end|>',
    );
  });

  test('are called when a call is required, with arguments that fit', async () => {
    let completeCount = 0;
    for (let seed = 0n; seed < 8n; seed++) {
      const events = await eventsOf(
        { tools, toolChoice: 'required', parallelToolCalls: false },
        seed,
      );
      const end = events.at(-1);
      if (end?.type !== 'sequence-end' || end.finishReason === 'length') continue;
      completeCount += 1;
      expect(end.finishReason).toBe('tool-calls');
      const opened = events.filter((event) => event.type === 'tool-call');
      expect(opened).toHaveLength(1);
      const text = events
        .map((event) => (event.type === 'tool-call-delta' ? event.arguments : ''))
        .join('');
      const parsed = JSON.parse(text) as Record<string, unknown>;
      if (opened[0]?.name === 'get_time') expect(parsed).toEqual({});
      else expect(parsed).toEqual({ city: expect.any(String), days: expect.any(Number) });
    }
    expect(completeCount).toBeGreaterThan(0);
  });

  test('leave a reply that does not call as it is', async () => {
    const [free, none] = [
      await eventsOf({ tools }, 3n),
      await eventsOf({ tools, toolChoice: 'none' }, 3n),
    ].map((events) =>
      events.map((event) => (event.type === 'text-delta' ? event.text : '')).join(''),
    );
    expect(free).not.toBe('');
    // Blanks before a reply that may call belong to its format.
    expect(free?.trimStart()).toBe(none?.trimStart());
  });
});
