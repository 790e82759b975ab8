/** What was used, from the reply of the built server to the table of the built command. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { describe, expect, test } from 'vitest';
import { runCli } from '../support/cli-process.ts';
import { startServer, temporaryFolder, tinyModelFile } from '../support/start-server.ts';
import { bearer, secrets } from '../support/test-keys.ts';

interface Counts {
  readonly requests: number;
  readonly errors: number;
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
  readonly completion_tokens: number;
}

interface Answer {
  readonly keys: readonly (Counts & { readonly key_id: string })[];
  readonly total: Counts;
}

async function usageIn(dataDir: string): Promise<Answer> {
  const { code, stdout, stderr } = await runCli(['usage', '--json'], {
    env: { DATA_DIR: dataDir },
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Answer;
}

const messages = [{ role: 'user' as const, content: 'go on' }];

describe('the usage ledger', () => {
  test('has a stream that was complete when the server was killed', async () => {
    const dataDir = temporaryFolder();
    const modelPath = tinyModelFile();
    const env = { DATA_DIR: dataDir, INSTANCE_ID: 'box/1', SUPERVISE: 'false' };
    let completionTokens = 0;
    for (const round of [1, 2]) {
      const server = await startServer({ modelPath, env });
      expect(await server.line('usage is recorded')).toMatchObject({
        folder: join(dataDir, 'usage'),
        instance: 'box_1',
      });
      const reply = await server.chat({
        max_tokens: 8,
        stream: true,
        stream_options: { include_usage: true },
      });
      const reader = reply.body?.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      while (!text.includes('[DONE]')) text += (await reader?.read())?.value ?? '';
      server.child.kill('SIGKILL');
      expect((await server.exited).signal).toBe('SIGKILL');
      completionTokens += Number(/"completion_tokens":(\d+)/.exec(text)?.[1]);
      expect((await usageIn(dataDir)).keys).toMatchObject([
        {
          key_id: 'auth-disabled',
          requests: round,
          errors: 0,
          completion_tokens: completionTokens,
        },
      ]);
    }
  });

  test('comes to the sum of what replies said, by key', async () => {
    const dataDir = temporaryFolder();
    const lines = `alice:${secrets.alice}\nbob:${secrets.bob} scopes=inference\n`;
    writeFileSync(join(dataDir, 'api_keys.txt'), lines);
    const server = await startServer({
      modelPath: tinyModelFile(),
      flags: ['--auth-enabled'],
      env: { DATA_DIR: dataDir },
    });
    const clientOf = (apiKey: string) =>
      new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries: 0 });
    const [alice, bob] = [clientOf(secrets.alice), clientOf(secrets.bob)];
    const whole = { model: 'any', max_tokens: 6 };
    const streamed = async () => {
      const options = { stream: true, stream_options: { include_usage: true } } as const;
      const stream = await alice.chat.completions.create({ ...whole, messages, ...options });
      let usage: OpenAI.CompletionUsage | null | undefined;
      for await (const chunk of stream) usage = chunk.usage ?? usage;
      return { usage };
    };
    const replies = await Promise.all([
      alice.chat.completions.create({ ...whole, messages }),
      alice.chat.completions.create({ ...whole, messages, n: 3 }),
      alice.completions.create({ ...whole, prompt: ['once', 'upon a time'], n: 2 }),
      streamed(),
      streamed(),
    ]);
    const embedding = await bob.embeddings.create({ model: 'any', input: ['one', 'two'] });

    const sum = (count: (usage: OpenAI.CompletionUsage) => number | undefined) =>
      replies.reduce((all, { usage }) => all + ((usage && count(usage)) ?? Number.NaN), 0);
    const { keys, total } = await usageIn(dataDir);
    expect(keys).toEqual([
      {
        key_id: 'alice',
        requests: replies.length,
        errors: 0,
        prompt_tokens: sum((usage) => usage.prompt_tokens),
        cached_tokens: sum((usage) => usage.prompt_tokens_details?.cached_tokens),
        completion_tokens: sum((usage) => usage.completion_tokens),
      },
      {
        key_id: 'bob',
        requests: 1,
        errors: 0,
        prompt_tokens: embedding.usage.prompt_tokens,
        cached_tokens: 0,
        completion_tokens: 0,
      },
    ]);
    expect(total.requests).toBe(replies.length + 1);

    const listed = await fetch(`${server.url}/admin/usage?key_id=alice`, {
      headers: bearer(secrets.alice),
    });
    const { data } = (await listed.json()) as { data: readonly (Counts & { day: string })[] };
    expect(data.map(({ day: _day, ...counts }) => counts)).toEqual(keys.slice(0, 1));

    server.child.kill('SIGTERM');
    expect((await server.exited).code).toBe(0);
    expect(await usageIn(dataDir)).toMatchObject({ keys, total });
  });

  test('is left out without a data folder, and when it cannot be opened', async () => {
    const modelPath = tinyModelFile();
    const nowhere = join(temporaryFolder(), 'nowhere');
    const none = await startServer({ modelPath, env: { DATA_DIR: nowhere } });
    await none.line('usage is not recorded: USAGE_LEDGER is off or there is no data folder');

    const dataDir = temporaryFolder();
    writeFileSync(join(dataDir, 'usage'), 'a file where the folder should be');
    const server = await startServer({ modelPath, env: { DATA_DIR: dataDir } });
    await server.line('usage is not recorded: its ledger cannot be opened');
    expect((await server.chat({ max_tokens: 2 })).status).toBe(200);
  });
});
