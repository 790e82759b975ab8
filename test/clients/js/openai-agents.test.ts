/** OpenAI's Agents SDK for JavaScript on chat completions: runs with tools, typed output, streams. */
import {
  Agent,
  OpenAIChatCompletionsModel,
  Runner,
  setTracingDisabled,
  tool,
} from '@openai/agents';
import OpenAI from 'openai';
import { beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { modelId, servedModels, serveModel } from './served-models.ts';

setTracingDisabled(true);

describe.each(servedModels)('on $name', (served) => {
  let client: OpenAI;
  const runner = new Runner({ tracingDisabled: true });
  const agentOf = (fields: object) =>
    new Agent({
      name: 'assistant',
      model: new OpenAIChatCompletionsModel(client, modelId),
      modelSettings: { temperature: 0, maxTokens: 200 },
      ...fields,
    });

  beforeAll(async () => {
    const { url } = await serveModel(served);
    client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
  });

  test('a run calls its tool and answers from the result', async () => {
    const cities: string[] = [];
    const getWeather = tool({
      name: 'get_weather',
      description: 'Current weather in a city',
      parameters: z.object({ city: z.string().max(30) }),
      execute: ({ city }) => {
        cities.push(city);
        return '{"condition": "sunny", "temperature": 21}';
      },
    });
    const agent = agentOf({
      tools: [getWeather],
      modelSettings: {
        ...{ temperature: 0, maxTokens: 200, toolChoice: 'required', parallelToolCalls: false },
      },
    });
    // After a call the SDK itself goes back to the choice `auto`.
    const result = await runner
      .run(agent, 'What is the weather in Paris?', { maxTurns: 2 })
      .catch((error: Error) => error);
    expect(cities.length).toBeGreaterThan(0);
    if (!served.isTrained) return;
    expect(cities).toEqual(['Paris']);
    expect(result).toMatchObject({ finalOutput: expect.stringContaining('sunny') });
  });

  test('its output has zod’s types', async () => {
    const outputType = z.object({
      ...{ done: z.boolean(), share: z.number().min(0).max(1), day: z.iso.date() },
    });
    const { finalOutput } = await runner.run(agentOf({ outputType }), 'Report.');
    expect(outputType.parse(finalOutput)).toEqual(finalOutput);
  });

  test('a hint of length is a hint', async () => {
    const modelSettings = { temperature: 0, maxTokens: 20, text: { verbosity: 'low' } };
    const { finalOutput } = await runner.run(agentOf({ modelSettings }), 'Hello!');
    expect(finalOutput).not.toBe('');
  });

  test('a run is streamed', async () => {
    const stream = await runner.run(agentOf({}), 'Who are you?', { stream: true });
    let text = '';
    for await (const piece of stream.toTextStream()) text += piece;
    await stream.completed;
    expect(text).toBe(stream.finalOutput);
    expect(text).not.toBe('');
  });
});
