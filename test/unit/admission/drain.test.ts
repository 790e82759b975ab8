import { describe, expect, test } from 'vitest';
import { Drain } from '../../../src/admission/drain.ts';
import { GatewayError } from '../../../src/core/errors.ts';

describe('a drain', () => {
  test('with nothing running is over at once', async () => {
    const drain = new Drain();
    expect(await drain.finish(60_000)).toBe(0);
    expect(drain.draining).toBe(true);
  });

  test('counts what is running', () => {
    const drain = new Drain();
    const leave = drain.enter(new AbortController());
    drain.enter(new AbortController());
    expect(drain.runningCount).toBe(2);
    leave();
    leave();
    expect(drain.runningCount).toBe(1);
  });

  test('refuses new completions once it has begun', async () => {
    const drain = new Drain();
    await drain.finish(0);
    expect(() => drain.enter(new AbortController())).toThrow(new GatewayError('shutting_down'));
    expect(drain.runningCount).toBe(0);
  });

  test('ends when the last one leaves, without aborting any', async () => {
    const drain = new Drain();
    const controllers = [new AbortController(), new AbortController()];
    const leaves = controllers.map((controller) => drain.enter(controller));
    const finished = drain.finish(60_000);
    for (const leave of leaves) leave();
    expect(await finished).toBe(0);
    expect(controllers.map(({ signal }) => signal.aborted)).toEqual([false, false]);
  });

  test('aborts at its deadline with the error that clients receive', async () => {
    const drain = new Drain();
    const controller = new AbortController();
    const leave = drain.enter(controller);
    controller.signal.addEventListener('abort', leave);
    expect(await drain.finish(0)).toBe(1);
    expect(controller.signal.reason).toMatchObject({ code: 'shutting_down', status: 503 });
  });

  test('does not wait for ever for one that ignores its abort', async () => {
    const drain = new Drain();
    drain.enter(new AbortController());
    expect(await drain.finish(0, 0)).toBe(1);
    expect(drain.runningCount).toBe(1);
  });
});
