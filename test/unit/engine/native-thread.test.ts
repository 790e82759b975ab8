import { describe, expect, test } from 'vitest';
import type { NativeEvents } from '../../../src/engine/addon.ts';
import { NativeThread } from '../../../src/engine/native-thread.ts';

type Started = { readonly type: 'started' };
type Events = NativeEvents<Started, string>;

/** A native thread without a thread: the test emits its events. */
class FakeHandle {
  readonly calls: string[] = [];
  readonly emit: (events: Events) => void;

  constructor(emit: (events: Events) => void) {
    this.emit = emit;
  }

  tokenize(): Promise<Int32Array> {
    return Promise.resolve(new Int32Array());
  }

  detokenize(): Promise<Buffer> {
    return Promise.resolve(Buffer.alloc(0));
  }

  cancel(id: number): void {
    this.calls.push(`cancel ${id}`);
  }

  keepAlive(keep: boolean): void {
    this.calls.push(keep ? 'busy' : 'idle');
  }

  requestClose(): void {
    this.calls.push('close');
  }

  release(): void {
    this.calls.push('release');
  }
}

class FakeRequest {
  error: unknown;

  fail(error: unknown): void {
    this.error = error;
  }
}

function startThread() {
  const received: string[] = [];
  const failures: string[] = [];
  const thread = new NativeThread<FakeHandle, Started, string, FakeRequest>({
    name: 'engine',
    create: (onEvents) => new FakeHandle(onEvents),
    onCrossing: (events) => received.push(`${events.length / 2} events`),
    onEvent: (id, event) => received.push(`${id} ${event}`),
    onFailure: (reason) => failures.push(reason),
    onStopped: () => thread.native.calls.push('stopped'),
  });
  return { thread, native: thread.native, received, failures };
}

const started = [0, { type: 'started' }] as const;
const stopped = [0, { type: 'stopped' }] as const;

describe('a native thread', () => {
  test('keeps the process running until it has started, and while a request is in flight', async () => {
    const { thread, native } = startThread();
    native.emit(started);
    expect(await thread.start()).toEqual({ type: 'started' });
    const request = new FakeRequest();
    const id = thread.submit(request, () => {});
    expect(thread.request(id)).toBe(request);
    expect(thread.pendingCount).toBe(1);
    expect(thread.end(id)).toBe(request);
    expect(thread.end(id)).toBeUndefined();
    expect(native.calls).toEqual(['busy', 'idle', 'busy', 'idle', 'idle']);
  });

  test('passes on the events of requests, those of one crossing together', () => {
    const { native, received } = startThread();
    native.emit([...started, 1, 'a', 2, 'b']);
    expect(received).toEqual(['3 events', '1 a', '2 b']);
  });

  test('uses no id twice, and none for a request that the native side refuses', () => {
    const { thread } = startThread();
    const ids: number[] = [];
    const refuse = () => {
      throw new Error('refused');
    };
    expect(() => thread.submit(new FakeRequest(), refuse)).toThrow('refused');
    expect(thread.pendingCount).toBe(0);
    for (let index = 0; index < 3; index += 1) {
      ids.push(thread.submit(new FakeRequest(), () => {}));
    }
    expect(new Set(ids).size).toBe(3);
  });

  test('cancels a request whose signal aborts, unless it has ended', () => {
    const { thread, native } = startThread();
    const [first, second] = [new AbortController(), new AbortController()];
    const id = thread.submit(new FakeRequest(), () => {}, first.signal);
    thread.end(thread.submit(new FakeRequest(), () => {}, second.signal));
    first.abort();
    second.abort();
    expect(native.calls.filter((call) => call.startsWith('cancel'))).toEqual([`cancel ${id}`]);
  });

  test('closes when it cannot start, and throws the reason', async () => {
    const { thread, native, failures } = startThread();
    native.emit([0, { type: 'failed', message: 'no memory' }, ...stopped]);
    await expect(thread.start()).rejects.toThrow('no memory');
    expect(native.calls.at(-1)).toBe('release');
    expect(failures).toEqual([]);
    expect(() => thread.requireRunning()).toThrow(
      expect.objectContaining({ code: 'engine_failed' }),
    );
  });

  test('that fails later reports it and accepts nothing more', async () => {
    const { thread, native, failures } = startThread();
    native.emit([...started, 0, { type: 'failed', message: 'lost the device' }]);
    expect(failures).toEqual(['lost the device']);
    expect(thread.hasFailed).toBe(true);
    await expect(thread.onWorker(() => Promise.resolve(1))).rejects.toMatchObject({
      code: 'engine_failed',
    });
  });

  test('fails the requests that it stops without ending', () => {
    const { thread, native } = startThread();
    const request = new FakeRequest();
    thread.submit(request, () => {});
    native.emit(stopped);
    expect(request.error).toMatchObject({ code: 'engine_failed' });
    expect(thread.pendingCount).toBe(0);
    expect(native.calls.at(-1)).toBe('idle');
  });

  test('is released once it has stopped and its calls on worker threads have ended', async () => {
    const { thread, native } = startThread();
    native.emit(started);
    let finish: (() => void) | undefined;
    const call = thread.onWorker(
      () =>
        new Promise<void>((resolve) => {
          finish = resolve;
        }),
    );
    const closing = thread.close();
    expect(() => thread.submit(new FakeRequest(), () => {})).toThrow(
      expect.objectContaining({ code: 'shutting_down' }),
    );
    native.emit(stopped);
    await Promise.resolve();
    expect(native.calls).not.toContain('release');
    finish?.();
    await Promise.all([call, closing, thread.close()]);
    expect(native.calls.filter((each) => !['busy', 'idle'].includes(each))).toEqual([
      'close',
      'stopped',
      'release',
    ]);
  });
});
