/** Every shape of conversation on every chat template of llama.cpp's source: no text is lost on the way. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withTemplateTables } from '../../scripts/chat-template-tables.ts';
import type { ChatMessage, ChatOptions } from '../../src/engine/chat.ts';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import type { EngineEvent } from '../../src/engine/generator.ts';
import { grammarOfChoices } from '../../src/grammar/text-grammar.ts';
import { type MatrixRow, matrixRow } from '../../tools/fixtures/chat-matrix.ts';
import {
  type LoadedModel,
  loadModel,
  noStrayBytes,
  startEngine,
} from '../../tools/fixtures/start-engine.ts';
import { templateNames, templateSource } from '../../tools/fixtures/template-sources.ts';
import { isLong, sampled } from '../support/long.ts';

let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadModel({ contextLength: 8192 });
});
afterAll(() => loaded.dispose());

/** Runs `use` on an engine with a template. */
async function withTemplate(
  chatTemplate: string,
  use: (engine: GeneratingEngine) => Promise<void>,
): Promise<void> {
  const engine = await startEngine(loaded.model, {
    chatTemplate,
    slotCount: 1,
    contextLength: 8192,
  });
  try {
    await use(engine);
  } finally {
    await engine.close();
  }
}

describe('every shape of conversation', () => {
  const rows = new Map<string, MatrixRow>();

  test.each(sampled(templateNames(), 6))('has all its texts in the prompt of %s', async (name) => {
    await withTemplate(templateSource(name), async ({ generator }) => {
      rows.set(name, await matrixRow(generator));
    });
  });

  test.runIf(isLong)('is in docs/chat-templates.md (npm run docs:templates)', () => {
    const page = readFileSync(new URL('../../docs/chat-templates.md', import.meta.url), 'utf8');
    expect(withTemplateTables(page, rows)).toBe(page);
  });
});

describe('a continued reply', () => {
  const messages = [
    { role: 'user', content: 'One?' },
    { role: 'assistant', content: ' Two,' },
  ] as const;

  test.each([
    ['microsoft-Phi-3.5-mini-instruct', '<|user|>\nOne?<|end|>\n<|assistant|>\n Two,'],
    ['Qwen-Qwen2.5-7B-Instruct', '<|im_end|>\n<|im_start|>assistant\n Two,'],
    ['openai-gpt-oss-120b', '<|end|><|start|>assistant<|channel|>final<|message|> Two,'],
    ['muse-glimmer', '<|start|>assistant to=user<|message|> Two,'],
    ['unsloth-mistral-Devstral-Small-2507', '[INST]One?[/INST] Two,'],
    ['poolside-Laguna-XS-2.1', '<assistant>\n</think>\n Two,'],
  ])('begins as %s writes replies', async (name, end) => {
    await withTemplate(templateSource(name), async ({ generator }) => {
      const prompt = await generator.renderChat(messages);
      expect(prompt.slice(-end.length)).toBe(end);
    });
  });

  test.each(sampled(templateNames(), 6))('keeps its text to the letter with %s', async (name) => {
    await withTemplate(templateSource(name), async ({ generator, info }) => {
      expect((await generator.renderChat(messages)).endsWith(' Two,')).toBe(true);
      const thought = { role: 'assistant', content: '', reasoning_content: 'Hm' } as const;
      const prompt = await generator.renderChat([messages[0], thought]);
      // A model that does not reason begins its reply anew.
      if (info.chat.thinking) expect(prompt.endsWith('Hm')).toBe(true);
      else expect(prompt.startsWith(await generator.renderChat([messages[0]]))).toBe(true);
    });
  });
});

test.each(sampled(templateNames(), 6))(
  'an empty reply at the end is as none with %s',
  async (name) => {
    await withTemplate(templateSource(name), async ({ generator }) => {
      const question = { role: 'user', content: 'Count to five.' } as const;
      const empty = { role: 'assistant', content: '' } as const;
      const prompt = await generator.renderChat([question]);
      expect(await generator.renderChat([question, empty])).toBe(prompt);
      expect(await generator.renderChat([question, empty, empty])).toBe(prompt);
    });
  },
);

/** Thoughts of a random model have no end. */
const thoughtless = { thinking: false, thinkingBudget: 4 };
/** Templates whose formats may have text or thoughts without end before a call or a JSON. */
const mayWriteBefore = new Set([
  'Apriel-1.6-15b-Thinker-fixed',
  'CohereForAI-c4ai-command-r-plus-tool_use',
  'CohereForAI-c4ai-command-r7b-12-2024-tool_use',
  'google-gemma-4-31B-it',
  'google-gemma-4-31B-it-interleaved',
  'inclusionai-ling-3.0-flash',
  'meetkai-functionary-medium-v3.2',
  'muse-glimmer',
  'openai-gpt-oss-120b',
]);
const withoutPlaceForSchema = sampled(
  [
    'GigaChat3-10B-A1.8B',
    'Kimi-K2-Instruct',
    'Kimi-K2-Thinking',
    'Kimi-K3',
    'inclusionai-ling-3.0-flash',
    'moonshotai-Kimi-K2',
    'muse-glimmer',
  ],
  3,
);
/** A few families in the short run, all of them in the long one. */
const tried = new Set([...sampled(templateNames(), 15), ...withoutPlaceForSchema]);

describe.each([...tried])('with %s', (name) => {
  const jsonSchema = {
    type: 'array',
    items: { type: 'integer', enum: [42] },
    minItems: 2,
    maxItems: 2,
  };
  const alarm = {
    name: 'set_alarm',
    parameters: {
      type: 'object',
      properties: { hour: { type: 'integer', enum: [7] } },
      required: ['hour'],
      additionalProperties: false,
    },
  };
  const question: ChatMessage = { role: 'user', content: 'Wake me.' };
  const text: ChatMessage = { role: 'assistant', content: 'I will.' };
  const call: ChatMessage = {
    role: 'assistant',
    content: '',
    tool_calls: [
      {
        id: 'call00001',
        type: 'function',
        function: { name: 'set_alarm', arguments: '{"hour":7}' },
      },
    ],
  };
  const result: ChatMessage = {
    role: 'tool',
    content: 'done',
    tool_call_id: 'call00001',
    name: 'set_alarm',
  };

  async function replyTo(
    messages: readonly ChatMessage[],
    options: ChatOptions,
  ): Promise<readonly EngineEvent[]> {
    const events: EngineEvent[] = [];
    await withTemplate(templateSource(name), async ({ generator }) => {
      const prompt = await generator.prepareChat(messages, { ...thoughtless, ...options });
      const sampling = { ...noStrayBytes, seed: 3n };
      for await (const event of generator.generate({ prompt, sampling, maxTokens: 400 })) {
        events.push(event);
      }
    });
    return events;
  }

  test.each([
    ['first', [question]],
    ['after a text', [question, text]],
    ['after a result', [question, call, result]],
  ])('a reply follows its schema, %s', async (_, messages) => {
    const events = await replyTo(messages, { jsonSchema });
    const end = events.at(-1);
    if (mayWriteBefore.has(name) && isCut(end)) return;
    const written = JSON.stringify(events).slice(0, 2000);
    const reply = events.map((event) => (event.type === 'text-delta' ? event.text : '')).join('');
    expect(JSON.parse(reply), written).toEqual([42, 42]);
  });

  test.each([true, false])('a choice is the content, behind reasoning: %s', async (thinking) => {
    const choices = ['red', 'green'];
    const contentGrammar = grammarOfChoices(choices);
    const events = await replyTo([question], { contentGrammar, thinking });
    const content = events.map((event) => (event.type === 'text-delta' ? event.text : '')).join('');
    // Some reason whatever they are asked for, and a random model does not end that.
    if (isCut(events.at(-1))) expect(content).toBe('');
    else expect(choices, JSON.stringify(events).slice(0, 2000)).toContain(content);
  });

  test.each([
    ['after a text', [question, text]],
    ['after a result', [question, call, result]],
  ])('a call that has to be made is made %s', async (_, messages) => {
    const events = await replyTo(messages, {
      tools: [alarm],
      toolChoice: 'required',
      parallelToolCalls: false,
    });
    const end = events.at(-1);
    if (mayWriteBefore.has(name) && isCut(end)) return;
    const written = JSON.stringify(events).slice(0, 2000);
    const called = events.map((event) => (event.type === 'tool-call-delta' ? event.arguments : ''));
    expect(JSON.parse(called.join('')), written).toEqual({ hour: 7 });
    expect(end, written).toMatchObject({ finishReason: 'tool-calls' });
  });
});

function isCut(end: EngineEvent | undefined): boolean {
  return end?.type === 'sequence-end' && end.finishReason === 'length';
}

test('the white space at the end of a prompt is no content', async () => {
  await withTemplate(templateSource('HuggingFaceTB-SmolLM3-3B'), async ({ generator }) => {
    const prompt = await generator.prepareChat([{ role: 'user', content: 'Hello' }], {
      thinking: false,
    });
    const texts: string[] = [];
    const sampling = { ...noStrayBytes, seed: 3n };
    for await (const event of generator.generate({ prompt, sampling, maxTokens: 20 })) {
      if (event.type === 'text-delta') texts.push(event.text);
    }
    expect(texts.join('')).toMatch(/^[^\n]/);
  });
});

describe('a template that refuses', () => {
  const refusing = "{% for m in messages %}{% if m.content == 'no' %}";

  test('says why in its own words, and nothing else', async () => {
    const template = `${refusing}{{ raise_exception('Say yes.') }}{% endif %}{{ m.content }}{% endfor %}`;
    await withTemplate(template, async ({ generator }) => {
      const messages = [{ role: 'user', content: 'no' }] as const;
      for (const method of ['prepareChat', 'renderChat'] as const) {
        await expect(generator[method](messages), method).rejects.toMatchObject({
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
