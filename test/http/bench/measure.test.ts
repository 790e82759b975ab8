import { describe, expect, onTestFinished, test } from 'vitest';
import { measure } from '../../../src/bench/measure.ts';
import { parseBenchOptions } from '../../../src/bench/options.ts';
import { toRecord } from '../../../src/bench/record.ts';
import {
  chatOf,
  doneFrame,
  openStream,
  replyError,
  startScriptedServer,
  textFrame,
} from '../../support/scripted-server.ts';

const quiet = { update() {}, end() {} };

/** Measures with the given flags; the report as JSON. */
async function bench(url: URL, flags: string, stop = new AbortController()) {
  onTestFinished(() => stop.abort());
  const argv = ['--url', url.href, '--warmup', '0', ...flags.split(' ').filter(Boolean)];
  const result = await measure(parseBenchOptions(argv), stop.signal, quiet);
  // As a reader of the file sees it.
  return JSON.parse(JSON.stringify(toRecord(result, undefined))) as ReturnType<typeof toRecord>;
}

describe('a measurement', () => {
  test('names the first model, asks greedily, and counts exactly', async () => {
    const { url, calls } = await startScriptedServer();
    const record = await bench(url, '--requests 5 --max-tokens 6');
    expect(calls.at(-1)?.body).toEqual({
      model: 'scripted',
      messages: [{ role: 'user', content: 'Write a short poem about the sea' }],
      max_tokens: 6,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    });
    // The first request only looks for the server.
    expect(calls).toHaveLength(6);
    expect(record.inference).toMatchObject({
      requests_success: 5,
      prompt_tokens: 50,
      completion_tokens: 30,
      finish_reasons: { none: 5 },
    });
    expect(record.gateway?.ping).toMatchObject({ count: 5, errors: [] });
  });

  test('makes prompts of the length that was asked for', async () => {
    const { url } = await startScriptedServer();
    const { runs } = await bench(url, '--requests 4 --prompt-tokens 30,300');
    for (const [index, wanted] of [30, 300].entries()) {
      expect(runs[index]).toMatchObject({
        prompt_tokens_wanted: wanted,
        prompt_tokens_per_request: { min: wanted, max: wanted },
      });
    }
  });

  test('sweeps over every length with every concurrency', async () => {
    const { url } = await startScriptedServer();
    const { runs } = await bench(url, '--prompt-tokens 20,40 --concurrency 1,12');
    expect(
      runs.map((run) => [run.prompt_tokens_wanted, run.concurrency, run.requests_total]),
    ).toEqual([
      [20, 1, 10],
      [20, 12, 12],
      [40, 1, 10],
      [40, 12, 12],
    ]);
    expect(runs[1]?.peak_in_flight).toBe(12);
  });

  test('lets two servers take turns, another one first in each round', async () => {
    const order: string[] = [];
    const [server, peer] = await Promise.all(
      ['server', 'peer'].map((name) =>
        startScriptedServer({
          chat: async (reply, call) => {
            if (call.index > 0) order.push(name);
            await chatOf(2)(reply, call);
          },
        }),
      ),
    );
    if (server === undefined || peer === undefined) throw new Error('two servers are needed');
    const record = await bench(server.url, `--peer ${peer.url.href} --requests 1 --rounds 2`);
    expect(order).toEqual(['server', 'peer', 'peer', 'server']);
    expect(record.runs.map(({ target, requests_total }) => [target, requests_total])).toEqual([
      ['server', 2],
      ['peer', 2],
    ]);
    expect(record.comparison).toHaveLength(1);
  });

  test('breaks down what failed', async () => {
    const { url } = await startScriptedServer({
      chat: async (reply, call) => {
        if (call.index % 3 === 1) replyError(reply, 503, { message: 'full', code: 'queue_full' });
        else if (call.index % 3 === 2) openStream(reply).end(textFrame('cut off'));
        else await chatOf(3)(reply, call);
      },
    });
    const { inference } = await bench(url, '--requests 6');
    expect(inference).toMatchObject({
      requests_total: 6,
      requests_success: 2,
      requests_failed: 4,
      completion_tokens: 6,
      ttft: { count: 2 },
    });
    expect(inference?.errors).toEqual([
      { kind: 'status', status: 503, code: 'queue_full', count: 2, message: 'full' },
      expect.objectContaining({ kind: 'no-done', status: null, count: 2 }),
    ]);
  });

  test('says nothing of endpoints that are not there, and of others what they answer', async () => {
    const { url } = await startScriptedServer({
      other: (request, reply) => {
        reply.writeHead(request.url === '/health' ? 500 : 404).end();
      },
    });
    const { gateway, targets } = await bench(url, '--gateway-only --requests 3');
    expect(gateway?.ping).toMatchObject({ count: 0, errors: [{ status: 404, count: 3 }] });
    expect(gateway?.health).toMatchObject({ count: 0, errors: [{ status: 500, count: 3 }] });
    expect(targets).toHaveLength(1);
  });

  test('ends at a signal and keeps what was done', async () => {
    const stop = new AbortController();
    const { url } = await startScriptedServer({
      chat: async (reply, call) => {
        if (call.index === 3) stop.abort();
        else await chatOf(2)(reply, call);
      },
    });
    const record = await bench(url, '--requests 100 --concurrency 1,2', stop);
    expect(record).toMatchObject({ interrupted: true, inference: { requests_success: 2 } });
    expect(record.runs).toHaveLength(1);
  });
});

describe('a server that takes less', () => {
  test('is asked without ignore_eos when it refuses it, and the report says so', async () => {
    const { url, calls } = await startScriptedServer({
      chat: async (reply, call) => {
        const refused = 'ignore_eos' in call.body;
        if (refused) replyError(reply, 400, { message: 'Unrecognized argument: ignore_eos' });
        else await chatOf(4)(reply, call);
      },
    });
    const { targets, inference } = await bench(url, '--ignore-eos --requests 2');
    expect(calls.map(({ body }) => 'ignore_eos' in body)).toEqual([true, false, false, false]);
    expect(targets[0]?.notes[0]).toMatch(/^it refuses ignore_eos/);
    expect(inference?.requests_failed).toBe(0);
  });

  test('has its deltas counted when it sends no usage', async () => {
    const { url } = await startScriptedServer({
      chat: (reply) => {
        openStream(reply).end(textFrame('a') + textFrame('b') + doneFrame);
      },
    });
    const { targets, inference } = await bench(url, '--requests 2 --prompt-tokens 20');
    expect(inference).toMatchObject({ completion_tokens: 4, tokens_counted_by: 'deltas' });
    expect(targets[0]?.notes).toEqual([
      'it sends no usage: tokens are counted as deltas of the stream',
      'it does not count prompt tokens: one word of a prompt counts as one token',
    ]);
  });

  test('gets requests without a model when it lists none', async () => {
    const { url, calls } = await startScriptedServer({
      other: (_request, reply) => void reply.writeHead(404).end(),
    });
    const { targets } = await bench(url, '--requests 1');
    expect(calls.every(({ body }) => !('model' in body))).toBe(true);
    expect(targets[0]).toMatchObject({
      model: null,
      notes: [expect.stringMatching(/answers 404/)],
    });
  });
});

describe('there is nothing to measure', () => {
  const refusal = (status: number) =>
    startScriptedServer({
      chat: (reply) => replyError(reply, status, { message: 'not like this', code: 'nope' }),
    });

  test.each([
    [401, /refuses the API key, or the lack of one \(401\): not like this$/],
    [404, /refuses the request \(status 404 nope\): not like this$/],
    [400, /refuses the request \(status 400 nope\): not like this$/],
  ])('where every request would be answered %i', async (status, message) => {
    const { url } = await refusal(status);
    const attempt = bench(url, '');
    await expect(attempt).rejects.toThrow(message);
    await expect(attempt).rejects.toMatchObject({ exitCode: 1 });
  });

  test('but a server that is only overloaded is measured', async () => {
    const { url } = await refusal(503);
    const { inference, targets } = await bench(url, '--requests 2');
    expect(inference).toMatchObject({ requests_failed: 2, ttft: { p50: null, count: 0 } });
    expect(targets[0]?.notes[0]).toMatch(/^its first request failed \(status 503 nope\)/);
  });
});
