/** The table of all settings. */
import type { Setting } from './setting.ts';
import { engineSettings } from './settings/engine.ts';
import { keySettings } from './settings/keys.ts';
import { logSettings } from './settings/log.ts';
import { modelSettings } from './settings/model.ts';
import { samplingSettings } from './settings/sampling.ts';
import { serverSettings } from './settings/server.ts';
import { supervisorSettings } from './settings/supervisor.ts';

/** Every setting by its environment name; {@link flagName} gives the flag. */
export const settings = {
  ...modelSettings,
  ...engineSettings,
  ...samplingSettings,
  ...serverSettings,
  ...supervisorSettings,
  ...keySettings,
  ...logSettings,
};

export type SettingName = keyof typeof settings;

/** What the kinds of the table parse to; undefined where a setting has no default and is not set. */
export type SettingValues = {
  readonly [Name in SettingName]: (typeof settings)[Name] extends Setting<
    infer T,
    infer Fallback,
    infer _At,
    infer _None
  >
    ? T | Fallback
    : never;
};

export const settingNames = Object.keys(settings) as readonly SettingName[];

/** Headings, and the settings under each, in the order of `--help` and the documentation. */
export const settingGroups: Readonly<Record<string, readonly SettingName[]>> = {
  Model: namesOf(modelSettings),
  Engine: namesOf(engineSettings),
  Sampling: namesOf(samplingSettings),
  Server: namesOf(serverSettings),
  Supervisor: namesOf(supervisorSettings),
  Keys: namesOf(keySettings),
  Log: namesOf(logSettings),
};

/** The setting as every row has it, for code that walks the table. */
export function settingOf(name: SettingName): Setting {
  return settings[name];
}

/** The name of a setting, then its alias, if it has one. */
export function namesOfSetting(name: SettingName): readonly string[] {
  const { alias } = settingOf(name);
  return alias === undefined ? [name] : [name, alias];
}

/** `MODEL_PATH` to `model-path`. */
export function flagName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}

function namesOf<Group extends object>(group: Group): readonly (keyof Group)[] {
  return Object.keys(group) as (keyof Group)[];
}
