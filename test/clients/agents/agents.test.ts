/**
 * Agents of the command line in front of the server, on a model with room for their prompts: what they say to each
 * other is judged, not what the model says.
 */
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { toolTemplate } from '../../../tools/fixtures/tiny-model.ts';
import { startSharedServer, type TestServer, tinyModelFile } from '../../support/start-server.ts';
import { modelId } from '../js/served-models.ts';
import { type AgentProxy, type Exchange, startAgentProxy } from './agent-proxy.ts';
import { agents } from './agents.ts';
import { answersWith, calls } from './guide-model.ts';
import { AgentHome, type AgentRun } from './run-agent.ts';

/** How logs speak of a reply that they cannot read. */
const trouble = /\b(warn|error|invalid|unexpected|failed|disconnected|retry)/i;

let server: TestServer;

beforeAll(async () => {
  const contextLength = 131_072;
  // Its tokens are letters, and a prompt has 100,000 of them.
  const shape = { layerCount: 1, width: 32, headCount: 2, kvHeadCount: 1, feedForwardWidth: 32 };
  const modelPath = tinyModelFile({ ...shape, contextLength, chatTemplate: toolTemplate });
  const room = ['--ctx', String(contextLength), '--parallel', '2'];
  const fast = ['--threads', '2', '--flash-attention', 'auto'];
  const flags = ['--model-alias', modelId, ...room, ...fast];
  server = await startSharedServer({ modelPath, flags });
});

describe.each(agents)('$name', (agent) => {
  let proxy: AgentProxy;
  let home: AgentHome;
  let env: Readonly<Record<string, string>>;

  beforeEach(async () => {
    proxy = await startAgentProxy(server.url);
    home = new AgentHome();
    env = agent.setUp(home, proxy.url);
  });

  afterEach(() => proxy.close());

  async function turn(prompt: string, isFirst = true): Promise<AgentRun> {
    const [program, ...args] = agent.turn(prompt, isFirst);
    const run = await home.run(program, args, env);
    expect(run.code, run.stdout + run.stderr).toBe(0);
    const lines = run.stderr.split('\n').filter((line) => !agent.otherLines?.test(line));
    expect(lines.filter((line) => trouble.test(line))).toEqual([]);
    for (const { status, reply } of proxy.exchanges) expect(status, reply).toBe(200);
    expect(proxy.others.filter((line) => / \/v1\//.test(line) && !/: 2\d\d$/.test(line))).toEqual(
      [],
    );
    return run;
  }

  /** The requests of the conversation; some agents ask for a title beside it, or more. */
  const conversation = (): Exchange[] =>
    proxy.exchanges.filter(
      ({ path, body }) =>
        path === agent.path && hasTools(body) && !agent.otherRequests?.test(JSON.stringify(body)),
    );

  test('answers in a turn of text', async () => {
    proxy.change = answersWith('All is well.');
    const { stdout } = await turn('How is it going?');
    expect(agent.answer(stdout)).toContain('All is well.');
    expect(conversation()).toHaveLength(1);
  });

  test('runs the tool that the model calls, and ends its turn with the result', async () => {
    let isCalled = false;
    proxy.change = (body) => {
      const isOther = agent.otherRequests?.test(JSON.stringify(body)) === true;
      if (isCalled || isOther || !hasTools(body)) return answersWith('That was it.')(body);
      isCalled = true;
      calls(agent.tool, agent.callArguments)(body);
    };
    const { stdout } = await turn('Say something with your tool.');
    expect(agent.answer(stdout)).toContain('That was it.');
    const [, second] = conversation();
    expect(JSON.stringify(second?.body)).toMatch(agent.result);
    expect(conversation()).toHaveLength(2);
  });

  test('goes on over three turns, from the cached prefix', async () => {
    for (const [index, answer] of ['One.', 'Two.', 'Three.'].entries()) {
      proxy.change = answersWith(answer);
      const { stdout } = await turn(`Turn ${index + 1}`, index === 0);
      expect(agent.answer(stdout)).toContain(answer);
    }
    const [first, , third] = conversation();
    const { cachedTokenCount } = usageOf(third);
    expect(usageOf(first).promptTokenCount).toBeGreaterThan(5000);
    expect(cachedTokenCount).toBeGreaterThan(0.9 * usageOf(first).promptTokenCount);
    const last = JSON.stringify(third?.body);
    for (const word of ['Turn 1', 'One.', 'Turn 2', 'Two.', 'Turn 3']) expect(last).toContain(word);
  });
});

/** What the last event of a stream with a usage counts. */
function usageOf(exchange: Exchange | undefined) {
  const count = (name: string) =>
    Number([...(exchange?.reply ?? '').matchAll(new RegExp(`"${name}":(\\d+)`, 'g'))].at(-1)?.[1]);
  if (exchange?.path !== '/v1/messages') {
    const isChat = exchange?.path === '/v1/chat/completions';
    return {
      promptTokenCount: count(isChat ? 'prompt_tokens' : 'input_tokens'),
      cachedTokenCount: count('cached_tokens'),
    };
  }
  const cachedTokenCount = count('cache_read_input_tokens');
  return { promptTokenCount: count('input_tokens') + cachedTokenCount, cachedTokenCount };
}

function hasTools({ tools }: Exchange['body']): boolean {
  return Array.isArray(tools) && tools.length > 0;
}
