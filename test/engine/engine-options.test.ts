/** Options pass from the settings to the native engine by their names alone, so that a test compares the names. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { settingNames, settingOf } from '../../src/config/table.ts';
import { loadAddon } from '../../src/engine/load-addon.ts';
import { type LoadedModel, loadModel, startEngine } from '../../tools/fixtures/start-engine.ts';

let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadModel();
});
afterAll(() => loaded.dispose());

/** Options that follow from the model or from other options. */
const derivedOptions = ['model', 'samplingThreadCount', 'storedBytes', 'adaptsThreads'];

test('every other option of the native engine is a setting', () => {
  const settings = settingNames.flatMap((name) => {
    const [, property] = /^engine\.(\w+)/.exec(settingOf(name).at ?? '') ?? [];
    return property === undefined ? [] : [property];
  });
  expect([...settings, ...derivedOptions]).toEqual(
    expect.arrayContaining([...loadAddon('cpu').engineOptionNames]),
  );
});

test.each([
  ['slotCount', '1', 'a number'],
  ['stepTargetMs', true, 'a number'],
  ['backgroundPrefill', 1, 'a boolean'],
  ['processors', 'all', 'an array'],
  ['cacheTypeK', 16, 'a string'],
])('a wrong type of %s is an error that names it', async (name, value, type) => {
  const start = startEngine(loaded.model, { [name]: value });
  await expect(start).rejects.toThrow(`${name} must be ${type}`);
});
