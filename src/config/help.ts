import { flagName, namesOfSetting, type SettingName, settingGroups, settingOf } from './table.ts';

/** The default of a setting, in words where it depends on something. */
export function defaultText(name: SettingName): string {
  const { kind, fallback, fallbackText } = settingOf(name);
  return fallbackText ?? kind.show?.(fallback) ?? String(fallback);
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
  return Object.entries(settingGroups)
    .map(([heading, names]) => [`${heading}:`, ...names.flatMap(settingHelp)].join('\n'))
    .join('\n\n');
}

function settingHelp(name: SettingName): string[] {
  const { summary } = settingOf(name);
  const names = namesOfSetting(name).join(' or ');
  return [`  ${flagText(name)}  [${names}]`, `      ${summary} (default: ${defaultText(name)})`];
}

/** The first lines of each table in docs/configuration.md. */
const tableHead = ['| Environment | Flag | Default | Meaning |', '| --- | --- | --- | --- |'];

/**
 * Replaces the tables of settings in a text, one for each group and in their order, by tables of the current settings.
 * @throws {Error} when there is not one table for each group
 */
export function withSettingTables(text: string): string {
  const table = /^\| Environment \|.*\n(?:\|.*\n)*/gm;
  const groups = Object.values(settingGroups);
  const foundCount = text.match(table)?.length ?? 0;
  if (foundCount !== groups.length) {
    throw new Error(`expected ${groups.length} tables of settings, found ${foundCount}`);
  }
  let index = 0;
  return text.replace(table, () => {
    const names = groups[index] ?? [];
    index += 1;
    return `${[...tableHead, ...names.map(tableRow)].join('\n')}\n`;
  });
}

function tableRow(name: SettingName): string {
  const names = namesOfSetting(name)
    .map((each) => `\`${each}\``)
    .join(', ');
  const cell = (value: string) => value.replaceAll('|', '\\|');
  return `| ${names} | \`${cell(flagText(name))}\` | ${cell(defaultText(name))} | ${cell(settingOf(name).summary)} |`;
}
