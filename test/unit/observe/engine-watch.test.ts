import { describe, expect, it } from 'vitest';
import { Drain } from '../../../src/admission/drain.ts';
import type { EngineStats } from '../../../src/engine/engine-stats.ts';
import { ModelRegistry } from '../../../src/model/registry.ts';
import { EngineWatch } from '../../../src/observe/engine-watch.ts';
import { serviceStateOf } from '../../../src/server/service-state.ts';
import { FakeEngine } from '../../support/fake-engine.ts';
import { card } from '../../support/start-gateway.ts';

/** An engine whose numbers a test sets. */
class CountingEngine extends FakeEngine {
  numbers: Partial<EngineStats> = {};

  override stats(): EngineStats {
    return { ...super.stats(), ...this.numbers };
  }
}

function start(timeoutMs = 10_000) {
  const engine = new CountingEngine();
  const models = new ModelRegistry();
  let now = 0;
  const watch = new EngineWatch(models, timeoutMs, () => now);
  const look = (numbers: Partial<EngineStats>, seconds = 1) => {
    engine.numbers = numbers;
    now += seconds * 1000;
    watch.look();
    return watch.isStuck;
  };
  const state = () => serviceStateOf({ models, drain: new Drain(), watch });
  return { engine, models, watch, look, state };
}

describe('EngineWatch', () => {
  it('calls an engine stuck that does no step while sequences wait for one', () => {
    const { engine, models, watch, look, state } = start();
    models.setReady({ card, engine });
    const waiting = { awaitedCount: 1, stepCount: 5 };
    for (let second = 0; second < 10; second++) expect(look(waiting)).toBe(false);
    expect(watch.stalledMs).toBe(9000);
    expect(state()).toBe('ready');
    expect(look(waiting)).toBe(true);
    expect(state()).toBe('stuck');
    expect(look({ ...waiting, stepCount: 6 })).toBe(false);
    expect(state()).toBe('ready');
  });

  it('does not mind an engine that has nothing to do', () => {
    const { engine, models, watch, look } = start();
    models.setReady({ card, engine });
    for (let second = 0; second < 60; second++) look({ awaitedCount: 0, stepCount: 5 });
    expect(watch.stalledMs).toBe(0);
    for (let second = 0; second < 9; second++) look({ awaitedCount: 1, stepCount: 5 });
    expect(watch.isStuck).toBe(false);
  });

  it('does not mind a model that loads for long', () => {
    const { look, state } = start();
    for (let second = 0; second < 600; second++) look({});
    expect(state()).toBe('loading');
  });

  it('does not mind a machine that slept', () => {
    const { engine, models, watch, look } = start();
    models.setReady({ card, engine });
    look({ awaitedCount: 1, stepCount: 5 });
    expect(look({ awaitedCount: 1, stepCount: 5 }, 3600)).toBe(false);
    expect(watch.stalledMs).toBe(2000);
  });

  it('can be told to keep quiet', () => {
    const { engine, models, watch, look } = start(0);
    models.setReady({ card, engine });
    for (let second = 0; second <= 100; second++) look({ awaitedCount: 1, stepCount: 5 });
    expect(watch.isStuck).toBe(false);
    expect(watch.stalledMs).toBe(100_000);
  });

  it('looks often enough for a short timeout', () => {
    expect([start(2000), start(300_000), start(0)].map(({ watch }) => watch.intervalMs)).toEqual([
      500, 1000, 1000,
    ]);
  });
});
