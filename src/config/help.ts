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

/** What the tables of docs/configuration.md begin with. */
const tableHead = ['| Environment | Flag | Default | Meaning |', '| --- | --- | --- | --- |'];

/**
 * A text whose tables of settings, one for each group and in their order, are as the settings are now.
 * @throws {Error} when there is not one table for each group
 */
export function withSettingTables(text: string): string {
  const table = /^\| Environment \|.*\n(?:\|.*\n)*/gm;
  const found = text.match(table)?.length ?? 0;
  if (found !== settingGroups.length) {
    throw new Error(`${settingGroups.length} tables of settings were expected, there are ${found}`);
  }
  let index = 0;
  return text.replace(table, () => {
    const group = settingGroups[index];
    index += 1;
    const names = settingNames.filter((name) => settingOf(name).group === group);
    return `${[...tableHead, ...names.map(tableRow)].join('\n')}\n`;
  });
}

function tableRow(name: SettingName): string {
  const { summary, alias } = settingOf(name);
  const names = alias === undefined ? `\`${name}\`` : `\`${name}\`, \`${alias}\``;
  const cell = (value: string) => value.replaceAll('|', '\\|');
  return `| ${names} | \`${cell(flagText(name))}\` | ${cell(defaultText(name))} | ${cell(summary)} |`;
}
