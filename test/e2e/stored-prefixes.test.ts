/** Conversations that lose their slot go on from the memory of CACHE_RAM. */
import { expect, test } from 'vitest';
import { startServer, type TestServer, tinyModelFile } from '../support/start-server.ts';

const conversationCount = 32;

/** Texts that have nothing in common beyond what the template writes, of some 60 tokens each. */
function textOf(conversation: number, turn: number): string {
  const words = Array.from({ length: 40 }, (_, i) => `${conversation * 7 + i * (turn + 3)}`);
  return words.join(' ');
}

interface Turn {
  readonly promptTokenCount: number;
  readonly cachedTokenCount: number;
  readonly reply: string;
}

type Message = { role: 'user' | 'assistant'; content: string };

async function say(server: TestServer, messages: Message[]): Promise<Turn> {
  const reply = await server.client.chat.completions.create({
    model: 'any',
    messages,
    max_tokens: 8,
    temperature: 0,
  });
  return {
    promptTokenCount: reply.usage?.prompt_tokens ?? 0,
    cachedTokenCount: reply.usage?.prompt_tokens_details?.cached_tokens ?? 0,
    reply: reply.choices[0]?.message.content ?? '',
  };
}

/** Turn 1 of every conversation, then turn 2 of every conversation. */
async function twoTurns(server: TestServer) {
  const histories: Message[][] = [];
  const first: Turn[] = [];
  for (let c = 0; c < conversationCount; c++) {
    const messages: Message[] = [{ role: 'user', content: textOf(c, 1) }];
    const turn = await say(server, messages);
    first.push(turn);
    histories.push([...messages, { role: 'assistant', content: turn.reply }]);
  }
  const second: Turn[] = [];
  for (const [c, history] of histories.entries()) {
    second.push(await say(server, [...history, { role: 'user', content: textOf(c, 2) }]));
  }
  const earlierCount = first.reduce((sum, turn) => sum + turn.promptTokenCount, 0);
  const cachedCount = second.reduce((sum, turn) => sum + turn.cachedTokenCount, 0);
  return { second, cachedShare: cachedCount / earlierCount };
}

test('of 32 conversations on 4 slots each finds its first turn again, and says the same as without', async () => {
  const modelPath = tinyModelFile();
  const flags = ['--parallel', '4', '--ctx', '1024'];
  const stored = await startServer({ modelPath, flags });
  const { cachedShare, second } = await twoTurns(stored);
  expect(cachedShare).toBeGreaterThan(0.95);
  expect(await stored.metric('gateway_restored_prefixes_total')).toBeGreaterThan(20);

  const without = await startServer({ modelPath, flags: [...flags, '--cache-ram', '0'] });
  const plain = await twoTurns(without);
  expect(plain.cachedShare).toBeLessThan(0.5);
  expect(await without.metric('gateway_stored_prefixes')).toBe(0);
  expect(second.map(({ reply }) => reply)).toEqual(plain.second.map(({ reply }) => reply));
});

test('no more is stored than CACHE_RAM allows', async () => {
  const modelPath = tinyModelFile();
  const flags = ['--parallel', '4', '--ctx', '1024'];
  const server = await startServer({ modelPath, flags: [...flags, '--cache-ram', '1'] });
  await twoTurns(server);
  const tokenCount = await server.metric('gateway_stored_tokens');
  const ample = await startServer({ modelPath, flags });
  await twoTurns(ample);
  expect(tokenCount).toBeGreaterThan(0);
  expect(tokenCount).toBeLessThan((await ample.metric('gateway_stored_tokens')) / 2);
});
