import { once } from 'node:events';
import { connect } from 'node:net';
import zlib, { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { exchange } from '../support/raw-http.ts';
import { chatBody, listen, startGateway } from '../support/start-gateway.ts';
import { bearer, secrets, withKeys } from '../support/test-keys.ts';

const url = '/v1/chat/completions';
const json = { 'content-type': 'application/json' };
const body = JSON.stringify(chatBody({ messages: [{ role: 'user', content: 'Où? 🙂' }] }));
const { zstdCompressSync } = zlib as { readonly zstdCompressSync?: (text: string) => Buffer };

async function post(
  payload: string | Buffer,
  headers: Record<string, string>,
  options: Parameters<typeof startGateway>[0] = {},
) {
  const { app, engine } = startGateway(options);
  const reply = await app.inject({ method: 'POST', url, headers, payload });
  return { reply, prompt: engine.preparedChats[0]?.[0] };
}

describe('a compressed body', () => {
  const once = gzipSync(body);
  test.each<[string, Buffer | string]>([
    ['gzip', once],
    ['GZIP', once],
    ['x-gzip', once],
    ['gzip, identity', once],
    ['deflate', deflateSync(body)],
    ['deflate', deflateRawSync(body)],
    ['br', brotliCompressSync(body)],
    ['gzip, br', brotliCompressSync(once)],
    ['deflate,gzip', gzipSync(deflateSync(body))],
    ['gzip', Buffer.concat([gzipSync(body.slice(0, 20)), gzipSync(body.slice(20))])],
    ['identity', body],
    ['utf-8', body],
    ['', body],
  ])('of the encoding %j is decoded', async (coding, payload) => {
    const { reply, prompt } = await post(payload, { ...json, 'content-encoding': coding });
    expect(reply.statusCode, reply.body).toBe(200);
    expect(prompt).toMatchObject({ content: 'Où? 🙂' });
  });

  test('of the encoding zstd is decoded where Node.js can', async () => {
    const payload = zstdCompressSync?.(body) ?? Buffer.from('28b52ffd', 'hex');
    const { reply } = await post(payload, { ...json, 'content-encoding': 'zstd' });
    expect(reply.statusCode).toBe(zstdCompressSync === undefined ? 415 : 200);
  });

  test.each([
    ['compress', 'received `compress`'],
    ['gzip, aws-chunked', 'received `aws-chunked`'],
    ['gzip,gzip,gzip,gzip,gzip', 'at most 4 content encodings, received 5'],
  ])('of the encoding %s is 415, and the reply names the encodings', async (coding, message) => {
    const { reply } = await post(once, { ...json, 'content-encoding': coding });
    expect(reply.statusCode).toBe(415);
    expect(reply.headers['accept-encoding']).toMatch(/^gzip, deflate, br(, zstd)?$/);
    expect(reply.headers).not.toHaveProperty('accept');
    expect(reply.json().error).toMatchObject({ code: 'unsupported_media_type' });
    expect(reply.json().error.message).toContain(message);
  });

  test.each<[string, Buffer | string]>([
    ['gzip', body],
    ['gzip', once.subarray(0, 40)],
    ['gzip', deflateSync(body)],
    ['deflate', 'no deflate'],
    ['br', once],
    ['gzip, br', brotliCompressSync(body)],
  ])('that is not valid %s is 400', async (coding, payload) => {
    const { reply } = await post(payload, { ...json, 'content-encoding': coding });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({
      code: 'bad_request',
      message: expect.stringMatching(/^The request body is not valid (gzip|deflate|br) data/),
    });
  });

  test('that decodes to nothing is an empty body', async () => {
    const { reply } = await post(gzipSync(''), { ...json, 'content-encoding': 'gzip' });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error.message).toContain('body is empty');
  });

  test.each([
    ['gzip', (bytes: Buffer) => gzipSync(bytes)],
    ['br', (bytes: Buffer) => brotliCompressSync(bytes)],
    ['gzip, gzip', (bytes: Buffer) => gzipSync(gzipSync(bytes))],
  ] as const)('that would grow beyond the limit is 413: %s', async (coding, compress) => {
    const bomb = compress(Buffer.alloc(100_000_000, ' '));
    expect(bomb.length).toBeLessThan(1_000_000);
    const before = process.memoryUsage().rss;
    const { reply } = await post(bomb, { ...json, 'content-encoding': coding });
    expect(reply.statusCode).toBe(413);
    expect(reply.json().error.message).toBe('The request body must be at most 1000000 bytes.');
    expect(process.memoryUsage().rss - before).toBeLessThan(60_000_000);
  });

  test('is limited as it was sent, too', async () => {
    const noise = gzipSync(Buffer.from(Array.from({ length: 2000 }, () => Math.random() * 256)));
    const headers = { ...json, 'content-encoding': 'gzip' };
    const { reply } = await post(noise, headers, { limits: { bodyBytes: 1000 } });
    expect(reply.statusCode).toBe(413);
  });

  test('that ends too early is no fault of the server', async () => {
    const { app, logLines } = startGateway();
    const { port } = await listen(app);
    const socket = connect(port, '127.0.0.1');
    socket.write(
      `POST ${url} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 900\r\n\r\nab`,
    );
    await expect.poll(() => app.server.connections ?? 1).toBeGreaterThan(0);
    socket.end();
    await expect.poll(() => JSON.stringify(logLines)).toContain('bad_request');
    expect(JSON.stringify(logLines)).not.toContain('"level":50');
  });

  test('needs no encoding where there is no body', async () => {
    const { app } = startGateway();
    const headers = { 'content-encoding': 'lz4' };
    expect((await app.inject({ url: '/v1/models', headers })).statusCode).toBe(200);
  });

  test('may be sent in chunks, also as a coding of the transfer', async () => {
    const { app } = startGateway();
    const { port } = await listen(app);
    const chunks = [once.subarray(0, 30), once.subarray(30)].map((chunk) => [
      `${chunk.length.toString(16)}\r\n`,
      chunk,
      '\r\n',
    ]);
    for (const header of [
      'Content-Encoding: gzip\r\nTransfer-Encoding: chunked',
      'Transfer-Encoding: gzip, chunked',
    ]) {
      const head = `POST ${url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n${header}\r\n\r\n`;
      const parts = [head, ...chunks.flat(), '0\r\n\r\n'];
      const bytes = Buffer.concat(parts.map((part) => Buffer.from(part)));
      const reply = await exchange(port, bytes);
      expect(reply.head, header).toMatch(/^HTTP\/1\.1 200 /);
    }
  });
});

describe('a JSON body', () => {
  const page = 'https://app.example.com';
  test.each([
    ['application/json'],
    ['application/json; charset=utf-8'],
    ['application/json; charset=utf8'],
    ['application/json;charset=ISO-8859-1'],
    ['Application/JSON ; odata=verbose'],
    ['application/json, application/json'],
    ['text/json'],
    ['text/plain'],
    ['text/plain;charset=UTF-8'],
    ['application/x-www-form-urlencoded'],
    ['application/octet-stream'],
    ['application/vnd.api+json'],
    ['json'],
    ['undefined'],
    [''],
    [undefined],
  ])('declared as %s is read', async (type) => {
    const { app, engine } = startGateway();
    const { port } = await listen(app);
    const header = type === undefined ? '' : `Content-Type: ${type}\r\n`;
    const length = Buffer.byteLength(body);
    const { head } = await exchange(
      port,
      `POST ${url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${header}Content-Length: ${length}\r\n\r\n${body}`,
    );
    expect(head).toMatch(/^HTTP\/1\.1 200 /);
    expect(engine.preparedChats[0]?.[0]).toMatchObject({ content: 'Où? 🙂' });
  });

  test.each([
    ['image/png', body],
    ['multipart/form-data; boundary=x', body],
    ['application/x-www-form-urlencoded', 'model=x&prompt=y'],
    ['text/plain', 'Hello'],
    ['application/octet-stream', Buffer.from([0xff, 0xfe, 0x41])],
  ])('must be JSON where it is declared as %s', async (type, payload) => {
    const { reply } = await post(payload, { 'content-type': type });
    expect(reply.statusCode).toBe(415);
    expect(reply.headers.accept).toBe('application/json');
    expect(reply.json().error).toMatchObject({ code: 'unsupported_media_type' });
  });

  test.each([
    ['of another origin', { origin: 'https://evil.example.com' }, 415],
    ['in a sandbox', { origin: 'null' }, 415],
    ['of an allowed origin', { origin: page }, 200],
    ['of this server', { origin: 'http://here:8000', host: 'here:8000' }, 200],
  ] as const)('declared as text by a page %s is %s', async (_name, headers, status) => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'nonsense', '']) {
      const options = { corsOrigins: [page] };
      const { reply } = await post(body, { ...headers, 'content-type': type }, options);
      expect(reply.statusCode, type).toBe(status);
    }
    const declared = await post(body, { ...headers, ...json });
    expect(declared.reply.statusCode).toBe(200);
  });

  test.each<[string, Buffer]>([
    ['UTF-8 with a byte order mark', Buffer.from(`\ufeff${body}`)],
    ['UTF-16', Buffer.from(`\ufeff${body}`, 'utf16le')],
    ['UTF-16 without a mark', Buffer.from(body, 'utf16le')],
    ['UTF-16 of the other order', Buffer.from(`\ufeff${body}`, 'utf16le').swap16()],
    ['UTF-16 of the other order without a mark', Buffer.from(body, 'utf16le').swap16()],
  ])('is read as %s, whatever it is declared', async (_name, payload) => {
    for (const charset of ['', '; charset=utf-16', '; charset=utf-8', '; charset=latin1']) {
      const headers = { 'content-type': `application/json${charset}` };
      const { reply, prompt } = await post(payload, headers);
      expect(reply.statusCode, reply.body).toBe(200);
      expect(prompt).toMatchObject({ content: 'Où? 🙂' });
    }
  });

  test.each([
    ['ISO-8859-1', Buffer.from('"\xe9\xe8"', 'latin1'), 'éè'],
    ['windows-1251', Buffer.from('"\xdf"', 'latin1'), 'Я'],
    ['shift_jis', Buffer.from([0x22, 0x93, 0xfa, 0x96, 0x7b, 0x22]), '日本'],
  ])('in the declared charset %s is read', async (charset, quoted, content) => {
    const text = JSON.stringify(chatBody({ messages: [{ role: 'user', content: 'X' }] }));
    const [before = '', after = ''] = text.split('"X"');
    const payload = Buffer.concat([Buffer.from(before), quoted, Buffer.from(after)]);
    const { reply, prompt } = await post(payload, {
      'content-type': `application/json; charset="${charset}"`,
    });
    expect(reply.statusCode, reply.body).toBe(200);
    expect(prompt).toMatchObject({ content });
    const unknown = await post(payload, { 'content-type': 'application/json; charset=klingon' });
    expect(unknown.reply.statusCode).toBe(400);
    expect(unknown.reply.json().error.message).toBe('The request body is not valid UTF-8.');
  });

  test.each([
    ['{\n "messages": [1 2]\n}', ': the error is at line 2, column 17.'],
    ['{"messages": [', ': it ends at line 1, column 15.'],
    ['{"messages": secret}', '.'],
  ])('with an error says where it is, and quotes nothing: %j', async (payload, place) => {
    const { reply } = await post(payload, json);
    expect(reply.json().error).toMatchObject({
      code: 'invalid_json',
      message: `The request body is not valid JSON${place}`,
    });
  });

  test('may have a key of any name', async () => {
    const text = `{"__proto__":{"messages":[]},"constructor":{"prototype":{}},${body.slice(1)}`;
    expect((await post(text, json)).reply.statusCode).toBe(200);
    const without = await post('{"__proto__":{"messages":[]}}', json);
    expect(without.reply.json().error.code).toBe('missing_required_parameter');
  });

  test('is not needed where nothing is read from it', async () => {
    const { app } = startGateway();
    for (const headers of [json, {}, { ...json, 'content-length': '0' }]) {
      expect((await app.inject({ method: 'POST', url: '/reload', headers })).statusCode).not.toBe(
        400,
      );
      expect((await app.inject({ url: '/v1/models', headers })).statusCode).toBe(200);
      expect((await app.inject({ method: 'HEAD', url: '/v1/models', headers })).statusCode).toBe(
        200,
      );
    }
  });
});

describe('a client that waits to be asked for its body', () => {
  const head = (lines: string) =>
    `POST ${url} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${lines}\r\n\r\n`;

  async function answered(port: number, request: string) {
    const socket = connect(port, '127.0.0.1');
    socket.write(request);
    const [first] = await once(socket, 'data');
    return { socket, first: String(first) };
  }

  test('is asked, and answered', async () => {
    const { app } = startGateway();
    const { port } = await listen(app);
    const length = `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close`;
    const { socket, first } = await answered(port, head(`Expect: 100-continue\r\n${length}`));
    expect(first).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    socket.write(body);
    const [second] = await once(socket, 'data');
    socket.destroy();
    expect(String(second)).toMatch(/^HTTP\/1\.1 200 /);
  });

  test.each([
    ['a wrong key', bearer(secrets.bob), 'Content-Length: 100', 401],
    ['too large a body', bearer(secrets.alice), 'Content-Length: 2000000', 413],
    ['another type', bearer(secrets.alice), 'Content-Type: image/png', 415],
  ])('is not asked for the body of a request with %s', async (_name, key, line, status) => {
    const { app } = startGateway({ authentication: await withKeys(`a:${secrets.alice}`) });
    const { port } = await listen(app);
    const length = line.startsWith('Content-Length') ? line : `Content-Length: 100\r\n${line}`;
    const request = `POST ${url} HTTP/1.1\r\nHost: x\r\nAuthorization: ${key.authorization}\r\nExpect: 100-continue\r\n${length}\r\n\r\n`;
    const { socket, first } = await answered(port, request);
    socket.destroy();
    expect(first).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    // Where the next request begins is unknown.
    expect(first).toMatch(/connection: close/i);
  });

  test('may expect something else, which is a hint', async () => {
    const { app } = startGateway();
    const { port } = await listen(app);
    const length = `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close`;
    const reply = await exchange(port, head(`Expect: x-fast\r\n${length}`) + body);
    expect(reply.head).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe('a client that offers HTTP/2', () => {
  test('is answered in HTTP/1.1', async () => {
    const { app } = startGateway();
    const { port } = await listen(app);
    const offer =
      'Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA';
    const { head } = await exchange(
      port,
      `POST ${url} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${offer}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    expect(head).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe('the target of a request', () => {
  test.each(['/v1/models', '/v1/models/', '/v1/models?x=1', 'http://x/v1/models'])(
    '%s is answered',
    async (target) => {
      const { app } = startGateway();
      const { port } = await listen(app);
      const { head } = await exchange(
        port,
        `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      );
      expect(head).toMatch(/^HTTP\/1\.1 200 /);
    },
  );
});
