/** Keys from their making to their end: the built command makes them, the built server asks for them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { describe, expect, test } from 'vitest';
import { runCli } from '../support/cli-process.ts';
import { startServer, temporaryFolder, tinyModelFile } from '../support/start-server.ts';

describe('a server with keys', () => {
  test('answers those it has, takes new ones while it runs, and forgets old ones', async () => {
    const file = join(temporaryFolder(), 'api_keys.txt');
    const keys = async (...argv: string[]) => {
      const { code, stdout, stderr } = await runCli(['keys', '--file', file, ...argv]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      return stdout.trim();
    };
    const alice = await keys('generate', '--name', 'alice', '--rate-limit', '50', '--quiet');
    const server = await startServer({
      modelPath: tinyModelFile(),
      flags: ['--auth-enabled', '--auth-keys-file', file],
    });
    expect(await server.line('API keys loaded')).toMatchObject({ keys: 1, keyIds: ['alice'] });
    expect(server.hasLogged('authentication is off')).toBe(false);

    const clientOf = (apiKey: string) =>
      new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries: 0 });
    const ask = (apiKey: string) =>
      clientOf(apiKey)
        .chat.completions.create({
          model: 'any',
          messages: [{ role: 'user', content: 'go on' }],
          max_tokens: 2,
        })
        .withResponse();

    const { data, response } = await ask(alice);
    expect(data.usage?.completion_tokens).toBeGreaterThan(0);
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('50');
    expect(await server.line('request completed')).toMatchObject({ keyId: 'alice' });
    await expect(ask(`${alice}x`)).rejects.toThrow(OpenAI.AuthenticationError);

    const bob = await keys('generate', '--name', 'bob', '--hash', '--quiet');
    const reload = await fetch(`${server.url}/reload`, {
      method: 'POST',
      headers: { 'x-api-key': alice },
    });
    expect([reload.status, await reload.json()]).toEqual([200, { status: 'ok', keys_loaded: 2 }]);
    expect((await ask(bob)).data.object).toBe('chat.completion');

    await keys('remove', '--name', 'alice');
    server.child.kill('SIGHUP');
    const lastIds = () => server.lines.findLast(({ msg }) => msg === 'API keys loaded')?.keyIds;
    await expect.poll(lastIds, { timeout: 20_000 }).toEqual(['bob']);
    await expect(ask(alice)).rejects.toThrow(OpenAI.AuthenticationError);

    writeFileSync(file, 'nonsense\n');
    server.child.kill('SIGHUP');
    await server.line('the key file has no valid key; the previous keys (1) stay valid');
    expect((await ask(bob)).data.object).toBe('chat.completion');

    server.child.kill('SIGTERM');
    expect((await server.exited).code).toBe(0);
    for (const secret of [alice, bob]) expect(server.stderr).not.toContain(secret);
  });

  test('starts without a key file, warns, and lets nobody in', async () => {
    const server = await startServer({
      modelPath: tinyModelFile(),
      flags: ['--auth-enabled', '--auth-keys-file', join(temporaryFolder(), 'none.txt')],
    });
    expect(server.stderr).toContain('there are no API keys');
    const reply = await server.chat({});
    expect(reply.status).toBe(401);
    expect(await reply.json()).toMatchObject({
      error: { message: expect.stringContaining('misconfigured') },
    });
    expect((await fetch(`${server.url}/ping`)).status).toBe(200);
    expect((await server.health()).authentication).toEqual({ enabled: true });
  });
});
