import { once } from 'node:events';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  doneFrame,
  errorFrame,
  FrameStream,
  frame,
  pingFrame,
  pingIntervalMs,
} from '../../../../src/api/generation/sse.ts';
import { GatewayError } from '../../../../src/core/errors.ts';
import { gate } from '../../../support/fake-engine.ts';

describe('a frame', () => {
  test('is one data line and an empty one', () => {
    expect(frame({ a: 1 })).toBe('data: {"a":1}\n\n');
    expect(doneFrame).toBe('data: [DONE]\n\n');
  });

  test('cannot be broken by its content', () => {
    const text = frame({ text: '\n\ndata: [DONE]\r\n\r\n' });
    expect(text.match(/[\r\n]+/g)).toEqual(['\n\n']);
  });

  test('of an error is the body of the plain reply', () => {
    expect(errorFrame(new GatewayError('shutting_down'))).toBe(
      'data: {"error":{"message":"The server is shutting down.","type":"server_error",' +
        '"param":null,"code":"shutting_down"}}\n\n',
    );
  });
});

describe('a stream of frames', () => {
  test('is all of its frames, in order', async () => {
    const { stream } = build(['b', 'c']);
    expect(await writes(stream)).toEqual(['abc']);
  });

  test('writes frames that are ready together, and others when they come', async () => {
    const later = gate();
    const { stream } = build(['b', 'c', 'd', 'e'], (index) =>
      index === 2 ? later.opened : undefined,
    );
    const seen: string[] = [];
    stream.on('data', (bytes) => {
      seen.push(String(bytes));
      later.open();
    });
    await once(stream, 'end');
    expect(seen).toEqual(['abc', 'de']);
  });

  test('lets a job run no more than a few writes ahead of the reader', async () => {
    const frames = Array<string>(1000).fill('x'.repeat(1000));
    const { stream, sentCount } = build(frames);
    stream.read(0);
    await once(stream, 'readable');
    await new Promise(setImmediate);
    expect(sentCount()).toBeLessThan(100);
    expect((await writes(stream)).join('')).toHaveLength(1_000_001);
    expect(sentCount()).toBe(1000);
  });

  test('lets its job run to the end once aborted, reader or not', async () => {
    const controller = new AbortController();
    const { stream, closed } = build(
      Array<string>(1000).fill('x'.repeat(1000)),
      undefined,
      controller,
    );
    stream.read(0);
    await once(stream, 'readable');
    controller.abort();
    await closed;
    stream.destroy();
  });

  test('lets its job run to the end when it is destroyed after the abort', async () => {
    const controller = new AbortController();
    const { stream, closed, sentCount } = build(['b', 'c', 'd'], undefined, controller);
    controller.abort();
    stream.destroy();
    await closed;
    expect(sentCount()).toBe(3);
  });

  test('ends its job when it is destroyed between two frames', async () => {
    const controller = new AbortController();
    const { stream, closed } = build(['b'], undefined, controller);
    stream.destroy();
    expect(controller.signal.aborted).toBe(true);
    await closed;
  });

  test('ends its job when it is destroyed during a frame, as soon as the frame is there', async () => {
    const later = gate();
    const { stream, closed } = build(['b'], () => later.opened);
    stream.on('data', () => {});
    await new Promise(setImmediate);
    stream.destroy();
    later.open();
    await closed;
  });

  test('fails when its job does', async () => {
    const { stream, closed } = build(['b'], () => Promise.reject(new Error('broken')));
    stream.resume();
    const [error] = await once(stream, 'error');
    expect(error).toEqual(new Error('broken'));
    await closed;
  });

  describe('that is silent', () => {
    afterEach(() => {
      vi.useRealTimers();
    });

    test('gets a ping after each interval without a write, and none once it ended', async () => {
      vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
      const later = gate();
      const { stream } = build(['b', 'c'], (index) => (index === 1 ? later.opened : undefined));
      const seen: string[] = [];
      stream.on('data', (bytes) => seen.push(String(bytes)));
      await new Promise(setImmediate);
      expect(seen).toEqual(['ab']);
      await vi.advanceTimersByTimeAsync(pingIntervalMs - 1);
      expect(seen.slice(1)).toEqual([]);
      await vi.advanceTimersByTimeAsync(1);
      expect(seen.slice(1)).toEqual([pingFrame]);
      await vi.advanceTimersByTimeAsync(pingIntervalMs);
      expect(seen.slice(1)).toEqual([pingFrame, pingFrame]);
      later.open();
      await once(stream, 'end');
      expect(seen.at(-1)).toBe('c');
      expect(vi.getTimerCount()).toBe(0);
    });

    test('gets no ping while its reader does not read', async () => {
      vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
      const { stream } = build(['x'.repeat(100_000)], () => undefined);
      stream.read(0);
      await once(stream, 'readable');
      await vi.advanceTimersByTimeAsync(5 * pingIntervalMs);
      expect((await writes(stream)).join('')).toBe(`a${'x'.repeat(100_000)}`);
    });
  });

  /** A stream with a job that sends `a`, then each of the texts when it may, and waits for the reader. */
  function build(
    texts: readonly string[],
    before: (index: number) => Promise<void> | undefined = () => undefined,
    controller = new AbortController(),
  ) {
    let sentCount = 0;
    const stream = new FrameStream(controller);
    const run = async () => {
      await stream.send('a');
      for (const [index, text] of texts.entries()) {
        await before(index);
        sentCount += 1;
        await stream.send(text);
      }
    };
    const closed = run().then(
      () => stream.end(''),
      (error: Error) => void stream.destroy(error),
    );
    return { stream, closed, sentCount: () => sentCount };
  }

  async function writes(stream: FrameStream): Promise<string[]> {
    const seen: string[] = [];
    for await (const bytes of stream) seen.push(String(bytes));
    return seen;
  }
});
