import pino from 'pino';
import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { KeySource } from '../../src/access/keys/key-source.ts';
import { Reload } from '../../src/api/info/reload-shapes.ts';
import { startGateway } from '../support/start-gateway.ts';
import { bearer, secrets } from '../support/test-keys.ts';

const url = '/reload';

/** A gateway over a key file that the test changes. */
async function start(text: string, adminKeyIds: readonly string[] = []) {
  const file = { text, failure: undefined as Error | undefined };
  const keys = new KeySource({
    path: '/keys.txt',
    logger: pino({ level: 'silent' }),
    read: async () => {
      if (file.failure !== undefined) throw file.failure;
      return { text: file.text, warnings: [] };
    },
  });
  await keys.open();
  const policy = { defaultLimits: {}, adminKeyIds, sharedCache: false };
  const { app } = startGateway({
    authentication: { keys, ...policy, failuresPerMinute: 0, protectedMetrics: false },
  });
  const reload = (secret: string) => app.inject({ method: 'POST', url, headers: bearer(secret) });
  return { app, file, reload };
}

describe('POST /reload', () => {
  test('exchanges the keys', async () => {
    const { app, file, reload } = await start(`alice:${secrets.alice}`);
    file.text = `bob:${secrets.bob}\ncarol:${secrets.carol}`;
    const reply = await reload(secrets.alice);
    expect(reply.statusCode).toBe(200);
    expect(reply.json()).toEqual({ status: 'ok', keys_loaded: 2 });
    expect(Schema.Check(Reload, reply.json())).toBe(true);
    const status = async (secret: string) =>
      (await app.inject({ url: '/v1/models', headers: bearer(secret) })).statusCode;
    expect([await status(secrets.alice), await status(secrets.bob)]).toEqual([401, 200]);
  });

  test('names the lines it skips', async () => {
    const { file, reload } = await start(`alice:${secrets.alice}`);
    file.text = `nonsense\nalice:${secrets.alice}`;
    expect((await reload(secrets.alice)).json()).toEqual({
      status: 'ok',
      keys_loaded: 1,
      skipped: [{ line: 1, reason: expect.stringContaining('key_id:api_key') }],
    });
  });

  test.each([
    ['is missing', { failure: Object.assign(new Error(), { code: 'ENOENT' }) }, 'no such file'],
    ['is empty', { text: '' }, 'no valid key'],
  ])('keeps the keys when the file %s, and says so', async (_name, change, reason) => {
    const { file, reload } = await start(`alice:${secrets.alice}`);
    Object.assign(file, change);
    for (let time = 0; time < 2; time++) {
      const reply = await reload(secrets.alice);
      expect(reply.statusCode).toBe(500);
      expect(reply.json().error).toMatchObject({ type: 'server_error', code: 'reload_failed' });
      expect(reply.json().error.message).toContain(reason);
    }
  });

  test('is for admins', async () => {
    const file = `alice:${secrets.alice}\nbob:${secrets.bob} scopes=inference\ncarol:${secrets.carol}`;
    const { app, reload } = await start(file, ['alice']);
    expect((await reload(secrets.alice)).statusCode).toBe(200);
    for (const secret of [secrets.bob, secrets.carol]) {
      const reply = await reload(secret);
      expect(reply.statusCode).toBe(403);
      expect(reply.json().error.code).toBe('insufficient_scope');
    }
    expect((await app.inject({ method: 'POST', url })).statusCode).toBe(401);
  });

  test('takes any body, and no other method', async () => {
    const { app } = await start(`alice:${secrets.alice}`);
    const headers = bearer(secrets.alice);
    for (const type of ['application/x-www-form-urlencoded', 'application/json', 'x/y']) {
      const reply = await app.inject({
        method: 'POST',
        url: '/reload/?now',
        headers: { ...headers, 'content-type': type },
        payload: '{',
      });
      expect(reply.statusCode, type).toBe(200);
    }
    const get = await app.inject({ method: 'GET', url, headers });
    expect(get.statusCode).toBe(405);
    expect(get.headers.allow).toBe('POST');
  });

  test('where authentication is off is for this machine only', async () => {
    const { app } = startGateway();
    const from = (remoteAddress: string) => app.inject({ method: 'POST', url, remoteAddress });
    expect((await from('127.0.0.1')).json()).toEqual({ status: 'ok', keys_loaded: 0 });
    expect((await from('::ffff:127.0.0.1')).statusCode).toBe(200);
    expect((await from('192.0.2.1')).statusCode).toBe(403);
  });
});
