/**
 * Requests that llama.cpp, asked without a check, answers by ending the process, and replies that overflow a stack: they are
 * refused, or answered as what they are.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ChatMessage, ChatOptions } from '../../src/engine/chat.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { EngineEvent } from '../../src/engine/generator.ts';
import { loadAddon } from '../../src/engine/load-addon.ts';
import { ReplyReader } from '../../src/engine/reply-reader.ts';
import { type LoadedModel, loadModel, startEngine } from '../../tools/fixtures/start-engine.ts';
import { templateSource } from '../../tools/fixtures/template-sources.ts';

const contextLength = 8192;

let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadModel({ contextLength });
});
afterAll(() => loaded.dispose());

async function withTemplate(
  name: string,
  use: (engine: GeneratingEngine) => Promise<void>,
): Promise<void> {
  const chatTemplate = templateSource(name);
  const engine = await startEngine(loaded.model, { chatTemplate, slotCount: 1, contextLength });
  try {
    await use(engine);
  } finally {
    await engine.close();
  }
}

async function reply(
  engine: GeneratingEngine,
  messages: readonly ChatMessage[],
  options: ChatOptions,
  { maxTokens = 8, bias = [] as readonly (readonly [number, number])[] } = {},
): Promise<EngineEvent[]> {
  const prompt = await engine.generator.prepareChat(messages, options);
  const events: EngineEvent[] = [];
  const sampling = { temperature: 0, logitBias: bias };
  for await (const event of engine.generator.generate({ prompt, sampling, maxTokens })) {
    events.push(event);
  }
  return events;
}

const question = { role: 'user', content: 'Hello' } as const;
const tool = {
  name: 'look_up',
  parameters: { type: 'object', properties: { word: { type: 'string' } } },
};

describe('a continued text with a control text of the template', () => {
  const formats: [string, ChatOptions][] = [
    ['a schema of strings', { jsonSchema: { type: 'string' } }],
    ['any object', { jsonSchema: { type: 'object' } }],
    ['a call that has to be made', { tools: [tool], toolChoice: 'required' }],
    ['a text format', { contentGrammar: 'root ::= [^x]*\n' }],
  ];
  const texts = ['"abc<|im_end|>', '{"a":"<|im_end|>', '<|im_end|>'];

  test.each(['Qwen-Qwen2.5-7B-Instruct', 'Qwen-Qwen3-0.6B'])('with %s', async (name) => {
    await withTemplate(name, async (engine) => {
      for (const [, options] of formats) {
        for (const content of texts) {
          for (const last of [{ content }, { content: '', reasoning_content: content }]) {
            const messages = [question, { role: 'assistant', ...last } as const];
            // Both ways: the prompt alone, and the reply.
            for (const ask of [
              () => engine.generator.renderChat(messages, options),
              () => reply(engine, messages, options),
            ]) {
              const result = await ask().catch((error: Error) => error);
              if (result instanceof Error) expect(result.message).not.toContain('llama');
            }
          }
        }
      }
      // Still there.
      expect((await reply(engine, [question], {})).at(-1)?.type).toBe('sequence-end');
    });
  });
});

describe('brackets within each other', () => {
  test('in a continued text are content', async () => {
    await withTemplate('Qwen-Qwen2.5-7B-Instruct', async (engine) => {
      const content = '['.repeat(3000);
      const messages = [question, { role: 'assistant', content } as const];
      const result = await reply(engine, messages, { jsonSchema: { type: 'array' } });
      expect(result.at(-1)?.type).toBe('sequence-end');
    });
  });

  test('in a reply are content, none of which is lost', async () => {
    await withTemplate('Qwen-Qwen2.5-7B-Instruct', async (engine) => {
      const [bracket = 0] = await engine.tokenizer.tokenize('[', {
        addSpecial: false,
        parseSpecial: false,
      });
      const events = await reply(
        engine,
        [question],
        { jsonSchema: { type: 'array' } },
        { maxTokens: 3000, bias: [[bracket, 100]] },
      );
      const text = events.map((event) => (event.type === 'text-delta' ? event.text : '')).join('');
      expect(text).toMatch(/^\[{2000,}/);
    });
  });

  test('in the arguments of a call end no thread', async () => {
    await withTemplate('Qwen-Qwen2.5-7B-Instruct', async (engine) => {
      const prompt = await engine.generator.prepareChat([question], { tools: [tool] });
      const reader = new ReplyReader(new (loadAddon('cpu').ReplyParser)(prompt.handle as object));
      const text = `<tool_call>\n{"name": "look_up", "arguments": {"word": ${'['.repeat(20_000)}`;
      const events = await reader.read([{ type: 'text-delta', text }]);
      expect(events.length).toBeGreaterThanOrEqual(0);
    });
  });
});

describe('blanks without end, where a call may begin', () => {
  test.each(['openai-gpt-oss-120b', 'muse-glimmer', 'meetkai-functionary-medium-v3.2'])(
    'are text with %s',
    async (name) => {
      await withTemplate(name, async (engine) => {
        const [blank = 0] = await engine.tokenizer.tokenize(' ', {
          addSpecial: false,
          parseSpecial: false,
        });
        const options = { tools: [tool], toolChoice: 'auto' } as const;
        const events = await reply(engine, [question], options, {
          maxTokens: 4000,
          bias: [[blank, 100]],
        });
        expect(events.at(-1)).toMatchObject({ type: 'sequence-end', finishReason: 'length' });
      });
    },
  );
});
