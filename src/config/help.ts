import { flagName, type SettingName, settingGroups, settingNames, settingOf } from './table.ts';

/** The default of a setting, in words where it depends on something. */
export function defaultText(name: SettingName): string {
  const { fallback, fallbackText } = settingOf(name);
  return fallbackText ?? String(fallback);
}

/** The flag with the stand-in for its value: `--port N`, `--[no-]strict-model`. */
export function flagText(name: SettingName): string {
  const { placeholder } = settingOf(name).kind;
  return placeholder === undefined
    ? `--[no-]${flagName(name)}`
    : `--${flagName(name)} ${placeholder}`;
}

/** All settings by group: flag and environment name, then meaning and default. */
export function settingsHelp(): string {
  return settingGroups
    .map((group) => {
      const names = settingNames.filter((name) => settingOf(name).group === group);
      return [`${group}:`, ...names.flatMap(settingHelp)].join('\n');
    })
    .join('\n\n');
}

function settingHelp(name: SettingName): string[] {
  const { summary, alias } = settingOf(name);
  const names = alias === undefined ? name : `${name} or ${alias}`;
  return [`  ${flagText(name)}  [${names}]`, `      ${summary} (default: ${defaultText(name)})`];
}
