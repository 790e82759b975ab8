/** Sessions of agents: 20,000 tokens of instructions and tools before the first word, of which later turns compute none. */
import { beforeAll, describe, expect, test } from 'vitest';
import { toolTemplate } from '../../tools/fixtures/tiny-model.ts';
import { startSharedServer, type TestServer, tinyModelFile } from '../support/start-server.ts';

const tokensOfASession = 20_000;

let server: TestServer;

beforeAll(async () => {
  // The bundled model would compute 20,000 tokens for a minute.
  const modelPath = tinyModelFile({ contextLength: 65_536, chatTemplate: toolTemplate });
  const flags = ['--model-alias', 'served', '--ctx', '32768', '--parallel', '2'];
  server = await startSharedServer({ modelPath, flags });
});

async function post<Reply>(path: string, body: object): Promise<Reply> {
  const reply = await fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'served', ...body }),
  });
  expect(reply.status).toBe(200);
  return (await reply.json()) as Reply;
}

/** What the turns of a session have in common. */
interface Setup {
  readonly instructions: string;
  readonly tools: readonly { readonly name: string; readonly description: string }[];
}

interface Turn {
  readonly promptTokenCount: number;
  readonly cachedTokenCount: number;
  /** As the next request repeats it. */
  readonly reply: readonly object[];
}

/** An API that agents speak. */
interface Api {
  readonly name: string;
  count(setup: Setup): Promise<number>;
  /** @param history - of turns, and the question at its end */
  turn(setup: Setup, history: readonly object[], turnNumber: number): Promise<Turn>;
}

const schema = { type: 'object', properties: { path: { type: 'string', maxLength: 80 } } };

const responsesApi: Api = {
  name: '/v1/responses',
  async count(setup) {
    const body = { ...responseBody(setup), input: 'Hi' };
    return (await post<{ input_tokens: number }>('/v1/responses/input_tokens', body)).input_tokens;
  },
  async turn(setup, input) {
    const { output, usage } = await post<{
      output: object[];
      usage: { input_tokens: number; input_tokens_details: { cached_tokens: number } };
    }>('/v1/responses', { ...responseBody(setup), input, max_output_tokens: 24, temperature: 0 });
    return {
      promptTokenCount: usage.input_tokens,
      cachedTokenCount: usage.input_tokens_details.cached_tokens,
      reply: output,
    };
  },
};

function responseBody({ instructions, tools }: Setup): object {
  return {
    instructions,
    tools: tools.map((tool) => ({ type: 'function', ...tool, parameters: schema })),
    tool_choice: 'auto',
    include: ['reasoning.encrypted_content'],
  };
}

const messagesApi: Api = {
  name: '/v1/messages',
  async count(setup) {
    const body = { ...messageBody(setup, 0), messages: [{ role: 'user', content: 'Hi' }] };
    return (await post<{ input_tokens: number }>('/v1/messages/count_tokens', body)).input_tokens;
  },
  async turn(setup, messages, turnNumber) {
    const { content, usage } = await post<{
      content: object[];
      usage: { input_tokens: number; cache_read_input_tokens: number };
    }>('/v1/messages', {
      ...{ ...messageBody(setup, turnNumber), messages, max_tokens: 24, temperature: 0 },
    });
    return {
      // Anthropic counts what was computed apart from what came from the cache.
      promptTokenCount: usage.input_tokens + usage.cache_read_input_tokens,
      cachedTokenCount: usage.cache_read_input_tokens,
      reply: [{ role: 'assistant', content }],
    };
  },
};

/** As Claude Code sends it: the first block has a stamp that no two requests share. */
function messageBody({ instructions, tools }: Setup, turnNumber: number): object {
  const stamp = `x-anthropic-billing-header: cc_version=2.1.332; cch=${turnNumber}a5${turnNumber}45;`;
  return {
    system: [
      { type: 'text', text: stamp },
      { type: 'text', text: instructions, cache_control: { type: 'ephemeral' } },
    ],
    tools: tools.map((tool) => ({ ...tool, input_schema: schema })),
  };
}

/** Instructions and tools that fill the session's tokens. */
async function setupOf(api: Api): Promise<Setup> {
  const sentence = 'Read the file before you change it, and say what you have done. ';
  const tools = Array.from({ length: 24 }, (_, index) => ({
    name: `tool_${index}`,
    description: `Of ${api.name}. ${sentence.repeat(4)}Number ${index}.`,
  }));
  const none = await api.count({ instructions: '', tools });
  const some = await api.count({ instructions: sentence.repeat(50), tools });
  const repeats = Math.ceil((50 * (tokensOfASession - none)) / (some - none));
  return { instructions: sentence.repeat(Math.max(1, repeats)), tools };
}

describe.each([responsesApi, messagesApi])('over $name', (api) => {
  test('a turn computes only what is new', async () => {
    const setup = await setupOf(api);
    const history: object[] = [{ role: 'user', content: 'List the files.' }];
    const first = await api.turn(setup, history, 1);
    expect(first.promptTokenCount).toBeGreaterThan(tokensOfASession * 0.95);
    let earlier = first;
    for (const turnNumber of [2, 3]) {
      history.push(...earlier.reply, { role: 'user', content: 'Now read the first of them.' });
      const turn = await api.turn(setup, history, turnNumber);
      // All of the earlier prompt comes from the cache but its last token, which the reply began with.
      expect(turn.cachedTokenCount).toBeGreaterThanOrEqual(earlier.promptTokenCount - 1);
      expect(turn.promptTokenCount - turn.cachedTokenCount).toBeLessThan(100);
      earlier = turn;
    }
  });
});
