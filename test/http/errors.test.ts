import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { GatewayError } from '../../src/core/errors.ts';
import { exchange, readAll } from '../support/raw-http.ts';
import { chatBody, listen, postChat, startGateway } from '../support/start-gateway.ts';

const path = '/v1/chat/completions';
const json = { 'content-type': 'application/json' };

function errorBody(code: string, type = 'invalid_request_error', param: string | null = null) {
  return { error: { message: expect.any(String), type, param, code } };
}

describe('half of a surrogate pair is refused where it stands', () => {
  const half = 'a\ud800';
  const messages = [{ role: 'user', content: 'Hi' }];
  test.each<[param: string | null, body: object]>([
    ['messages[0].content', { messages: [{ role: 'user', content: half }] }],
    [
      'messages[0].content[1].text',
      { messages: [{ role: 'user', content: [{}, { text: half }] }] },
    ],
    ['messages[0].name', { messages: [{ role: 'user', content: 'Hi', name: half }] }],
    ['stop', { messages, stop: half }],
    ['stop[1]', { messages, stop: ['a', half] }],
    ['tools[0].function.description', { messages, tools: [{ function: { description: half } }] }],
    [
      'response_format.json_schema.schema.properties',
      {
        messages,
        response_format: { json_schema: { schema: { properties: { [half]: {} } } } },
      },
    ],
  ])('%s', async (param, body) => {
    const { app } = startGateway();
    const response = await app.inject({ method: 'POST', url: path, payload: body });
    expect(response.statusCode).toBe(400);
    expect(response.json()).toEqual(errorBody('invalid_value', 'invalid_request_error', param));
  });

  test('a whole pair is text, however deep a body nests', async () => {
    const { app } = startGateway();
    const pair = String.raw`{"messages":[{"role":"user","content":"\ud83d\ude00"}]}`;
    const options = { method: 'POST', url: path, headers: json } as const;
    expect((await app.inject({ ...options, payload: pair })).statusCode).toBe(200);
    const deep = `{"a":"\\ud83d\\ude00","b":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    expect((await app.inject({ ...options, payload: deep })).statusCode).toBe(400);
  });
});

describe('a body that cannot be read', () => {
  test.each([
    ['is not JSON', json, '{"messages": [', 400, 'invalid_json'],
    ['is empty', json, '', 400, 'invalid_json'],
    ['is absent', {}, undefined, 400, 'invalid_json'],
    ['is null', json, 'null', 400, 'invalid_json'],
    ['is no UTF-8', json, Buffer.from([0x22, 0xff, 0x22]), 400, 'invalid_json'],
    ['is an array', json, '[]', 400, 'invalid_value'],
    ['is a string', json, '"x"', 400, 'invalid_value'],
    ['is plain text', { 'content-type': 'text/plain' }, 'Hello', 415, 'unsupported_media_type'],
    [
      'is a form',
      { 'content-type': 'application/x-www-form-urlencoded' },
      'a=b',
      415,
      'unsupported_media_type',
    ],
    ['is too large', json, JSON.stringify('x'.repeat(1000)), 413, 'payload_too_large'],
  ])('because it %s is refused', async (_name, headers, payload, status, code) => {
    const { app } = startGateway({ limits: { bodyBytes: 1000 } });
    const reply = await app.inject({
      method: 'POST',
      url: path,
      headers,
      ...(payload !== undefined && { payload }),
    });
    expect(reply.statusCode).toBe(status);
    expect(reply.headers['content-type']).toContain('application/json');
    expect(reply.json()).toEqual(errorBody(code));
  });

  test('of exactly the largest size is read', async () => {
    const body = JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }] });
    const bodyBytes = 1000;
    const { app } = startGateway({ limits: { bodyBytes } });
    const send = (payload: string) =>
      app.inject({ method: 'POST', url: path, headers: json, payload });
    expect((await send(body.padEnd(bodyBytes))).statusCode).toBe(200);
    expect((await send(body.padEnd(bodyBytes + 1))).statusCode).toBe(413);
  });

  test('is refused by its declared length, and the limit is named', async () => {
    const { app } = startGateway({ limits: { bodyBytes: 1000 } });
    const reply = await app.inject({
      method: 'POST',
      url: path,
      headers: { ...json, 'content-length': '1001' },
      payload: '{}',
    });
    expect(reply.statusCode).toBe(413);
    expect(reply.json().error.message).toBe('The request body must be at most 1000 bytes.');
  });

  test('is refused while it arrives in chunks', async () => {
    const { app } = startGateway({ limits: { bodyBytes: 1000 } });
    const { baseUrl } = await listen(app);
    const chunks = (async function* () {
      for (let index = 0; index < 20; index++) yield Buffer.alloc(100, 'x');
    })();
    const reply = await fetch(baseUrl + path, {
      method: 'POST',
      headers: json,
      body: ReadableStream.from(chunks),
      duplex: 'half',
    } as RequestInit);
    expect(reply.status).toBe(413);
    expect(await reply.json()).toEqual(errorBody('payload_too_large'));
  });

  test('gets the refusal also while megabytes of it are still being sent', async () => {
    const { app } = startGateway({ limits: { bodyBytes: 1000 } });
    const { baseUrl } = await listen(app);
    const body = Buffer.alloc(20_000_000, ' ');
    for (let attempt = 0; attempt < 5; attempt++) {
      const reply = await fetch(baseUrl + path, { method: 'POST', headers: json, body });
      expect(reply.status).toBe(413);
      expect(await reply.json()).toEqual(errorBody('payload_too_large'));
    }
  });
});

describe('a path or method that does not exist', () => {
  test.each([
    ['GET', '/v2'],
    ['POST', '/v1/nonsense'],
    ['GET', '/v1/chat'],
    ['PROPFIND', '/nonsense'],
  ] as const)('%s %s is 404, whatever its body is', async (method, url) => {
    const { app } = startGateway();
    const headers = { 'content-type': 'text/plain' };
    const reply = await app.inject({ method: method as 'GET', url, headers, payload: '{' });
    expect(reply.statusCode).toBe(404);
    expect(reply.json()).toEqual(errorBody('not_found'));
  });

  test.each([
    ['GET', '/v1/chat/completions', 'POST'],
    ['GET', '/v1/chat/completions/?x=1', 'POST'],
    ['PROPFIND', '/v1/chat/completions', 'POST'],
    ['POST', '/v1/models', 'GET, HEAD'],
    ['DELETE', '/v1/models/a/b', 'GET, HEAD'],
  ])('%s %s is 405 and allows %s', async (method, url, allow) => {
    const { app } = startGateway();
    const reply = await app.inject({ method: method as 'GET', url });
    expect(reply.statusCode).toBe(405);
    expect(reply.headers.allow).toBe(allow);
    expect(reply.json()).toEqual(errorBody('method_not_allowed'));
  });

  test('a broken escape in the path is 400', async () => {
    const { app } = startGateway();
    const reply = await app.inject({
      url: '/v1/models/%E0%A4',
      headers: { 'x-request-id': 'abc' },
    });
    expect(reply.statusCode).toBe(400);
    expect(reply.headers['x-request-id']).toBe('abc');
    expect(reply.json()).toEqual(errorBody('bad_request'));
  });
});

describe('TRACE', () => {
  test.each(['/ping', '/health', '/metrics', '/v1/models', '/docs'])(
    'is 405 on %s, whose reply would show a key',
    async (url) => {
      const { app } = startGateway();
      const reply = await app.inject({ method: 'TRACE' as 'GET', url });
      expect(reply.statusCode).toBe(405);
      expect(String(reply.headers.allow).split(', ')).toContain('GET');
      expect(reply.headers.allow).not.toContain('TRACE');
    },
  );
});

describe('a failing engine', () => {
  test.each([
    ['context_length_exceeded', 400, 'invalid_request_error', undefined],
    ['queue_full', 503, 'server_error', '5'],
    ['engine_failed', 500, 'server_error', undefined],
  ] as const)('that says %s answers %i', async (code, status, type, retryAfter) => {
    const { app, engine } = startGateway();
    engine.script.failure = { at: 0, error: new GatewayError(code) };
    for (const stream of [false, true]) {
      const reply = await postChat(app, { stream });
      expect(reply.statusCode).toBe(status);
      expect(reply.headers['retry-after']).toBe(retryAfter);
      expect(reply.json()).toEqual(errorBody(code, type));
    }
  });

  test('whose template refuses the messages answers 400', async () => {
    const { app, engine } = startGateway();
    engine.script.prepare = async () => {
      throw new GatewayError('bad_request', { message: 'Roles must alternate.' });
    };
    const reply = await postChat(app);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error.message).toBe('Roles must alternate.');
  });

  test('that fails halfway fails the whole plain reply', async () => {
    const { app, engine } = startGateway();
    engine.script.failure = { at: 1, error: new GatewayError('engine_failed') };
    const reply = await postChat(app);
    expect(reply.statusCode).toBe(500);
    expect(reply.json()).toEqual(errorBody('engine_failed', 'server_error'));
  });

  test('in an unforeseen way is a fixed sentence, and the detail is one log line', async () => {
    const { app, engine, logLines } = startGateway();
    engine.script.failure = { at: 0, error: new TypeError('secret detail') };
    const reply = await app.inject({
      method: 'POST',
      url: path,
      payload: chatBody(),
      headers: { 'x-request-id': 'trace-me' },
    });
    expect(reply.statusCode).toBe(500);
    expect(reply.json()).toEqual({
      error: {
        message: 'The server had an error while processing the request.',
        type: 'server_error',
        param: null,
        code: 'internal_error',
      },
    });
    expect(logLines).toEqual([
      expect.objectContaining({
        level: 50,
        requestId: 'trace-me',
        code: 'internal_error',
        err: expect.objectContaining({ message: 'secret detail' }),
      }),
    ]);
  });
});

describe('the log of a refused request', () => {
  test('is a line of the access log and one of level debug, and neither quotes the client', async () => {
    const { app, logLines } = startGateway({ accessLog: { format: 'json' } });
    await postChat(app, { temperature: 'private words' });
    expect(logLines).toEqual([
      expect.objectContaining({
        level: 20,
        msg: 'request refused',
        status: 400,
        code: 'invalid_value',
        param: 'temperature',
      }),
      expect.objectContaining({
        level: 30,
        msg: 'request completed',
        status: 400,
        code: 'invalid_value',
      }),
    ]);
    expect(JSON.stringify(logLines)).not.toContain('private');
  });
});

describe('the request id', () => {
  test.each(['a', 'req-1_2.3', '!'.repeat(128)])('%s is taken over', async (id) => {
    const { app } = startGateway();
    const reply = await app.inject({ url: '/ping', headers: { 'x-request-id': id } });
    expect(reply.headers['x-request-id']).toBe(id);
  });

  test.each(['', 'two words', 'ümlaut', 'x'.repeat(129)])('%j is replaced', async (id) => {
    const { app } = startGateway();
    const reply = await app.inject({ url: '/ping', headers: { 'x-request-id': id } });
    expect(reply.headers['x-request-id']).toMatch(/^req_[0-9a-f]{32}$/);
  });

  test('comes with every kind of reply', async () => {
    const { app } = startGateway();
    const replies = [
      await postChat(app),
      await postChat(app, { stream: true }),
      await postChat(app, { n: 2 }),
      await app.inject('/v1/models'),
      await app.inject('/nowhere'),
      await app.inject({ method: 'PUT', url: '/v1/models' }),
    ];
    const ids = replies.map((reply) => reply.headers['x-request-id']);
    for (const id of ids) expect(id).toMatch(/^req_[0-9a-f]{32}$/);
    expect(new Set(ids).size).toBe(replies.length);
  });
});

describe('broken HTTP', () => {
  test.each([
    ['a request line that is none', 'NONSENSE\r\n\r\n', 400, 'bad_request'],
    [
      'a negative length',
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n`,
      400,
      'bad_request',
    ],
    [
      'two different lengths',
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n`,
      400,
      'bad_request',
    ],
    [
      'a length beside chunks',
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
      400,
      'bad_request',
    ],
    [
      'headers without end',
      `GET /ping HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(80_000)}\r\n\r\n`,
      431,
      'header_fields_too_large',
    ],
  ])('with %s is answered and closed', async (_name, request, status, code) => {
    const { app } = startGateway();
    const { port } = await listen(app);
    const { head, body } = await exchange(port, request);
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(head).toMatch(/x-request-id: req_[0-9a-f]{32}/);
    expect(JSON.parse(body)).toEqual(errorBody(code));
  });

  test.each(['-1', 'five', '', '1\r\nContent-Length: 2'])(
    'with the length %j is told which header is wrong',
    async (length) => {
      const { app } = startGateway();
      const { port } = await listen(app);
      const request = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;
      const { body } = await exchange(port, request);
      expect(JSON.parse(body).error.message).toContain('Content-Length');
    },
  );

  test('that does not end in time is 408', async () => {
    const { app } = startGateway();
    const { port } = await listen(app);
    const socket = connect(port, '127.0.0.1');
    const [serverSide] = await once(app.server, 'connection');
    const late = Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
    app.server.emit('clientError', late, serverSide);
    const { head, body } = await readAll(socket);
    expect(head).toMatch(/^HTTP\/1.1 408 Request Timeout\r\n/);
    expect(JSON.parse(body)).toEqual(errorBody('request_timeout', 'timeout_error'));
  });

  test('behind a request whose stream has begun adds nothing to it', async () => {
    const { app, engine } = startGateway();
    engine.script.beforeEvent = (index) => (index === 1 ? new Promise(() => {}) : undefined);
    const { port } = await listen(app);
    const body = JSON.stringify(chatBody({ stream: true }));
    const socket = connect(port, '127.0.0.1');
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    );
    const [first] = await once(socket, 'data');
    socket.write('NONSENSE\r\n\r\n');
    const rest = await readAll(socket);
    expect(String(first)).toContain('text/event-stream');
    expect(rest.head + rest.body).not.toContain('bad_request');
    await engine.until(({ endings }) => endings.length === 1);
    expect(engine.endings).toEqual(['cancelled']);
  });
});
