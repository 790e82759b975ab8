import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GeneratingEngine } from '../../src/engine/engine.ts';
import {
  collect,
  complete,
  type LoadedModel,
  loadModel,
  startEngine,
  until,
} from '../../tools/fixtures/start-engine.ts';

let loaded: LoadedModel;
let engine: GeneratingEngine;

beforeAll(async () => {
  loaded = await loadModel({ contextLength: 16_384 });
  engine = await startEngine(loaded.model, { slotCount: 2, contextLength: 16_384, ubatchSize: 64 });
});

afterAll(async () => {
  await engine.close();
  await loaded.dispose();
});

const idle = { runningCount: 0, waitingCount: 0, usedKvTokenCount: 0 };

async function prepared(content: string) {
  return engine.generator.prepareChat([{ role: 'user', content }]);
}

describe('cancelling', () => {
  test('while decoding ends the stream and frees the slot', async () => {
    const controller = new AbortController();
    const running = complete(engine, 'endless', { maxTokens: 10_000 }, controller.signal);
    await until(() => engine.stats().sampledTokenCount > 5, 'a few tokens');
    controller.abort();
    const { end } = await running;
    expect(end.finishReason).toBe('cancelled');
    expect(end.usage.completionTokenCount).toBeGreaterThan(0);
    expect(engine.stats()).toMatchObject(idle);
  });

  test('while prefilling stops the prompt between two chunks', async () => {
    const controller = new AbortController();
    const before = engine.stats().prefilledTokenCount;
    const prompt = await prepared('long '.repeat(6000));
    // A neighbour that decodes keeps the chunks small.
    const neighbour = new AbortController();
    const beside = complete(engine, 'beside', { maxTokens: 10_000 }, neighbour.signal);
    await until(() => engine.stats().runningCount === 1, 'the neighbour runs');
    const running = collect(engine.generator.generate({ prompt, maxTokens: 5 }, controller.signal));
    await until(() => engine.stats().prefilledTokenCount > before + 200, 'some chunks');
    controller.abort();
    const { end } = await running;
    expect(end.finishReason).toBe('cancelled');
    expect(end.usage.completionTokenCount).toBe(0);
    expect(engine.stats().prefilledTokenCount - before).toBeLessThan(prompt.tokenCount);
    neighbour.abort();
    await beside;
    expect(engine.stats()).toMatchObject(idle);
  });

  test('while waiting for a slot leaves the queue without any work', async () => {
    const controllers = [new AbortController(), new AbortController(), new AbortController()];
    const prompts = await Promise.all(['first', 'second', 'third'].map(prepared));
    const runs = prompts.map((prompt, index) =>
      collect(engine.generator.generate({ prompt, maxTokens: 10_000 }, controllers[index]?.signal)),
    );
    await until(() => engine.stats().waitingCount === 1, 'one waits');
    controllers[2]?.abort();
    const waited = await (runs[2] as (typeof runs)[number]);
    expect(waited.end.finishReason).toBe('cancelled');
    expect(waited.end.timings.prefillMs).toBe(0);
    expect(engine.stats()).toMatchObject({ runningCount: 2, waitingCount: 0 });
    controllers[0]?.abort();
    controllers[1]?.abort();
    await Promise.all(runs);
    expect(engine.stats()).toMatchObject(idle);
  });

  test('before the start does nothing at all', async () => {
    const before = engine.stats();
    const aborted = AbortSignal.abort();
    const { end } = await complete(engine, 'never', { maxTokens: 5 }, aborted);
    expect(end.finishReason).toBe('cancelled');
    expect(engine.stats()).toEqual(before);
  });

  test('happens by leaving the loop', async () => {
    const prompt = await prepared('leave early');
    for await (const event of engine.generator.generate({ prompt, maxTokens: 10_000 })) {
      if (event.type === 'text-delta') break;
    }
    await until(() => engine.stats().runningCount === 0, 'the slot is free');
    expect(engine.stats()).toMatchObject(idle);
  });
});

describe('a reader that stops reading', () => {
  test('holds its own sequence and nobody else’s, and loses nothing', async () => {
    const expected = await complete(engine, 'slow reader', { maxTokens: 1500 });
    const prompt = await prepared('slow reader');
    const before = engine.stats().sampledTokenCount;
    const events = engine.generator.generate({
      prompt,
      maxTokens: 1500,
      sampling: { temperature: 0 },
    });
    const reader = events[Symbol.asyncIterator]();
    const { value: first } = await reader.next();
    const sampledWhenHeld = await settled(() => engine.stats().sampledTokenCount - before);
    expect(sampledWhenHeld).toBeGreaterThanOrEqual(256);
    expect(sampledWhenHeld).toBeLessThan(1000);
    expect(engine.stats().runningCount).toBe(1);

    const neighbour = await complete(engine, 'fast neighbour', { maxTokens: 200 });
    expect(neighbour.end.usage.completionTokenCount).toBe(200);
    expect(engine.stats().sampledTokenCount - before).toBe(sampledWhenHeld + 200);

    const rest = await collect({ [Symbol.asyncIterator]: () => reader });
    const start = first?.type === 'text-delta' ? first.text : '';
    expect(start + rest.text).toBe(expected.text);
    expect(engine.stats()).toMatchObject(idle);
  });
});

/** The value once it has stayed the same for a while. */
async function settled(read: () => number): Promise<number> {
  let value = read();
  for (let since = performance.now(); performance.now() - since < 200; ) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (read() !== value) since = performance.now();
    value = read();
  }
  return value;
}
