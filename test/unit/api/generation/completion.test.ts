import pino from 'pino';
import { describe, expect, test } from 'vitest';
import { unlimitedMeter } from '../../../../src/access/limits/token-meter.ts';
import { noRecorder } from '../../../../src/access/usage/usage-recorder.ts';
import { Admission } from '../../../../src/admission/admission.ts';
import { Drain } from '../../../../src/admission/drain.ts';
import type { Emit } from '../../../../src/api/generation/choice.ts';
import { runCompletion } from '../../../../src/api/generation/completion.ts';
import type { GeneratingEngine } from '../../../../src/engine/engine.ts';
import { RequestTrace } from '../../../../src/observe/trace/request-trace.ts';
import { FakeEngine, type FakeScript } from '../../../support/fake-engine.ts';

/** Runs a job of `choiceCount` choices on a fake engine. */
function start(
  choiceCount: number,
  script: Partial<FakeScript>,
  emit: Emit,
): { engine: FakeEngine; controller: AbortController; totals: ReturnType<typeof runCompletion> } {
  const engine = new FakeEngine();
  Object.assign(engine.script, script);
  const controller = new AbortController();
  const totals = runCompletion(
    {
      prompts: [{ type: 'plain', path: 'prompt', content: 'a b', suffix: undefined }],
      options: {},
      choiceCount,
    },
    {
      engine: engine as FakeEngine & GeneratingEngine,
      drain: new Drain(),
      admission: new Admission({ waitingCount: 0, waitMs: 0 }, () => 4),
      fairShareKey: 'alice',
      priority: 'interactive',
      controller,
      timeoutMs: 0,
      trace: new RequestTrace(() => {}),
      meter: unlimitedMeter,
      recorder: noRecorder,
      log: pino({ level: 'silent' }),
    },
    emit,
  );
  totals.catch(() => {});
  return { engine, controller, totals };
}

const never = new Promise<void>(() => {});

describe('a completion', () => {
  test.each([1, 3])('emits every event of %i choices, each in its order', async (choiceCount) => {
    const texts = Array.from({ length: choiceCount }, () => '');
    const parts = ['1', '2', '3'];
    const beforeEvent = () => new Promise<void>((resolve) => setImmediate(resolve));
    const { totals } = start(choiceCount, { parts, beforeEvent }, (choice, event) => {
      texts[choice] += event.type === 'text-delta' ? event.text : `(${event.type})`;
      return undefined;
    });
    expect((await totals).choiceCount).toBe(choiceCount);
    expect(texts).toEqual(Array(choiceCount).fill('123(choice-end)'));
  });

  test('takes the next event of a choice only when its last event was read', async () => {
    const { engine, controller } = start(2, { parts: Array(100).fill('x') }, () => never);
    await engine.until(({ eventCount }) => eventCount === 2);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(engine.eventCount).toBe(2);
    controller.abort(new Error('over'));
  });

  test('ends all choices when one fails, with its error', async () => {
    const failure = { at: 1, error: new Error('broken') };
    const { engine, totals } = start(3, { failure }, () => undefined);
    await expect(totals).rejects.toThrow('broken');
    expect(engine.endings).toHaveLength(3);
    expect(engine.stats().runningCount).toBe(0);
  });

  test('ends all choices when it is aborted, with the reason', async () => {
    const { engine, controller, totals } = start(2, { beforeEvent: () => never }, () => undefined);
    await engine.until(() => engine.stats().runningCount === 2);
    controller.abort(new Error('gone'));
    await expect(totals).rejects.toThrow('gone');
    expect(engine.endings).toEqual(['cancelled', 'cancelled']);
  });

  test('ends all choices when the reader fails', async () => {
    const { engine, totals } = start(2, { parts: Array(100).fill('x') }, () => {
      throw new Error('unreadable');
    });
    await expect(totals).rejects.toThrow('unreadable');
    expect(engine.endings).toHaveLength(2);
    expect(engine.eventCount).toBeLessThan(10);
  });
});
