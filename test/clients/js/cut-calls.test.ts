/** Calls that their length has cut: clients send them back with an error as the result, and the chat goes on. */
import { HumanMessage, ToolMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import OpenAI from 'openai';
import { zodFunction } from 'openai/helpers/zod';
import { beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { modelId, servedModels, serveModel } from './served-models.ts';

const Weather = z.object({ city: z.string().max(30) });
const question = 'What is the weather in Paris?';
const failure = 'Error: the arguments are no valid JSON';
/** With one call a reply, which is cut after these tokens: before its name, within it, within its arguments. */
const lengths = [1, 8, 12, 16];

describe.each(servedModels)('on $name', (served) => {
  let baseURL: string;

  beforeAll(async () => {
    const { url } = await serveModel(served);
    baseURL = `${url}/v1`;
  });

  test.each(lengths)('openai goes on after %i tokens of a call', async (max_tokens) => {
    const client = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
    const tools = [zodFunction({ name: 'get_weather', parameters: Weather })];
    const ask = { role: 'user', content: question } as const;
    const first = await client.chat.completions.create({
      ...{ model: modelId, temperature: 0, max_tokens, messages: [ask], tools },
      ...{ tool_choice: 'required', parallel_tool_calls: false },
    });
    const [choice] = first.choices;
    if (choice === undefined) throw new Error('there is no choice');
    expect(choice.finish_reason).toBe('length');
    const results = (choice.message.tool_calls ?? []).map(({ id }) => ({
      ...{ role: 'tool' as const, tool_call_id: id, content: failure },
    }));
    const again = { role: 'user', content: 'Try again.' } as const;
    const second = await client.chat.completions.create({
      ...{ model: modelId, temperature: 0, max_tokens: 60, tools },
      messages: [ask, choice.message, ...results, again],
    });
    expect(second.choices[0]?.finish_reason).toMatch(/^(stop|tool_calls|length)$/);
  });

  test.each(lengths)('LangChain goes on after %i tokens of a call', async (maxTokens) => {
    const chatOf = (limit: number) =>
      new ChatOpenAI({
        ...{ model: modelId, apiKey: 'none', temperature: 0, maxTokens: limit, maxRetries: 0 },
        configuration: { baseURL },
      });
    const getWeather = tool(() => '', { name: 'get_weather', schema: Weather });
    const ask = new HumanMessage(question);
    const forced = { tool_choice: 'any', parallel_tool_calls: false };
    const cut = await chatOf(maxTokens).bindTools([getWeather], forced).invoke([ask]);
    expect(cut.response_metadata.finish_reason).toBe('length');
    const calls = [...(cut.tool_calls ?? []), ...(cut.invalid_tool_calls ?? [])];
    const results = calls.map(
      ({ id = '' }) => new ToolMessage({ tool_call_id: id, content: failure }),
    );
    const answer = await chatOf(60)
      .bindTools([getWeather])
      .invoke([ask, cut, ...results]);
    expect(answer.response_metadata.finish_reason).toMatch(/^(stop|tool_calls|length)$/);
  });
});
