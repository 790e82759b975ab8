/** Every shape of conversation on every chat template of llama.cpp's source: no text is lost on the way. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import { type LoadedModel, loadModel, startEngine } from '../../tools/fixtures/start-engine.ts';
import { chatShapes } from '../support/chat-shapes.ts';
import { templateNames, templateSource } from '../support/template-sources.ts';

/** Templates that llama.cpp takes for ones with tools, although they show none. */
const hidesTools = new Set([
  'deepseek-ai-DeepSeek-R1-Distill-Qwen-32B',
  'deepseek-ai-DeepSeek-V3.1',
  'fireworks-ai-llama-3-firefunction-v2',
]);

let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadModel({ contextLength: 512 });
});
afterAll(() => loaded.dispose());

/** Runs `use` on an engine with a template. */
async function withTemplate(
  chatTemplate: string,
  use: (engine: GeneratingEngine) => Promise<void>,
): Promise<void> {
  const engine = await startEngine(loaded.model, { chatTemplate, slotCount: 1 });
  try {
    await use(engine);
  } finally {
    await engine.close();
  }
}

test.each(templateNames())('%s shows every text of every shape', async (name) => {
  await withTemplate(templateSource(name), async ({ generator }) => {
    for (const [title, { messages, options, words }] of Object.entries(chatShapes)) {
      if (options.tools && hidesTools.has(name)) continue;
      const prompt = await generator.renderChat(messages, options);
      for (const word of words) expect(prompt, `${title}: ${word}`).toContain(word);
    }
  });
});

describe('a template that refuses', () => {
  const refusing = "{% for m in messages %}{% if m.content == 'no' %}";

  test('says why in its own words, and nothing else', async () => {
    const template = `${refusing}{{ raise_exception('Say yes.') }}{% endif %}{{ m.content }}{% endfor %}`;
    await withTemplate(template, async ({ generator }) => {
      const messages = [{ role: 'user', content: 'no' }] as const;
      for (const call of [generator.prepareChat(messages), generator.renderChat(messages)]) {
        await expect(call).rejects.toMatchObject({
          code: 'bad_request',
          param: 'messages',
          message: "The model's chat template refuses these messages: Say yes.",
        });
      }
    });
  });

  test('says it for a whole shape', async () => {
    const template =
      "{% for m in messages %}{% if m.role == 'tool' or m.tool_calls or '<tool_response>' in m.content %}{{ raise_exception('No tools here') }}{% endif %}{{ m.content }}{% endfor %}";
    await withTemplate(template, async ({ generator }) => {
      const messages = [
        { role: 'user', content: 'Hello' },
        { role: 'tool', content: 'sunny', tool_call_id: 'x' },
      ] as const;
      await expect(generator.renderChat(messages)).rejects.toMatchObject({
        param: 'messages',
        message: "The model's chat template refuses these messages: No tools here.",
      });
    });
  });

  test('is not quoted where it fails', async () => {
    const template = `${refusing}{{ m.content() }}{% endif %}{{ m.content }}{% endfor %}`;
    await withTemplate(template, async ({ generator }) => {
      const refusal = generator.renderChat([{ role: 'user', content: 'no' }]);
      await expect(refusal).rejects.toMatchObject({
        param: 'messages',
        message: expect.stringMatching(
          /^The model's chat template cannot render these messages: [^\n{}%]+\.$/,
        ),
      });
    });
  });
});

test('a text that a template leaves out for its role is refused by the role', async () => {
  const template =
    "{% for m in messages %}{% if loop.index0 == 0 or m.role == 'assistant' %}{{ m.role }}: {{ m.content }}\n{% endif %}{% endfor %}";
  await withTemplate(template, async ({ generator }) => {
    const messages = [
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'two' },
      { role: 'user', content: 'three' },
    ] as const;
    await expect(generator.renderChat(messages)).rejects.toMatchObject({
      param: 'messages',
      message: "The model's chat template leaves out a message of the role `user` where it stands.",
    });
  });
});

test('a template that changes every text is left alone', async () => {
  const template = '{% for m in messages %}{{ m.content | upper }}\n{% endfor %}';
  await withTemplate(template, async ({ generator }) => {
    const messages = [
      { role: 'system', content: 'one' },
      { role: 'system', content: 'two' },
    ] as const;
    expect(await generator.renderChat(messages)).toBe('ONE\nTWO\n');
  });
});

test('messages that hold nothing are refused', async () => {
  await withTemplate('{{ messages[0].content }}', async ({ generator }) => {
    const refusal = generator.prepareChat([{ role: 'assistant', content: '' }]);
    await expect(refusal).rejects.toMatchObject({
      param: 'messages',
      message: '`messages` holds nothing to reply to.',
    });
  });
});
