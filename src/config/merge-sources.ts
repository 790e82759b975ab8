import { quote } from '../core/quote.ts';
import type { ConfigSource } from './config-source.ts';
import type { ConfigWarning } from './config-warning.ts';
import {
  flagName,
  namesOfSetting,
  type SettingName,
  type SettingValues,
  settingNames,
  settingOf,
} from './table.ts';

/**
 * The values that sources set. The first source that sets a setting wins; within a source the row's own name wins over
 * its alias.
 */
export function mergeSources(
  sources: readonly ConfigSource[],
  problems: string[],
  warnings: ConfigWarning[],
): Partial<SettingValues> {
  const values: Partial<Record<SettingName, unknown>> = {};
  for (const name of settingNames) {
    const text = firstText(name, sources, warnings);
    const value = text && parsed(name, text, problems);
    if (value !== undefined) values[name] = value;
  }
  // Each value comes from its own row's kind, from which SettingValues is derived.
  return values as Partial<SettingValues>;
}

/** All values, with the defaults of the settings that no source sets. */
export function withDefaults(given: Partial<SettingValues>): SettingValues {
  const fallbacks = Object.fromEntries(
    settingNames.map((name) => [name, settingOf(name).fallback]),
  );
  const values = { ...fallbacks, ...given } as SettingValues;
  // A smaller BATCH_SIZE needs no UBATCH_SIZE beside it.
  const UBATCH_SIZE = given.UBATCH_SIZE ?? Math.min(values.UBATCH_SIZE, values.BATCH_SIZE);
  return { ...values, UBATCH_SIZE };
}

interface SourceText {
  readonly key: string;
  readonly text: string;
  /** Label of its source. */
  readonly label: string;
}

function firstText(
  name: SettingName,
  sources: readonly ConfigSource[],
  warnings: ConfigWarning[],
): SourceText | undefined {
  const candidates = sources.flatMap(({ label, texts }) =>
    namesOfSetting(name).flatMap((key) => {
      const text = texts.get(key);
      return text === undefined ? [] : [{ key, text, label }];
    }),
  );
  const [chosen] = candidates;
  const other = candidates.find(({ key, text }) => key !== chosen?.key && text !== chosen?.text);
  if (chosen !== undefined && other !== undefined) {
    const message = `${chosen.key}=${quote(chosen.text)} is used, ${other.key}=${quote(other.text)} is ignored`;
    warnings.push({ level: 'warn', message });
  }
  return chosen;
}

/** The value of a text; undefined, and a problem, where the text has none. */
function parsed(name: SettingName, { key, text, label }: SourceText, problems: string[]): unknown {
  const { kind, secret } = settingOf(name);
  const value = kind.parse(text);
  if (value === undefined) {
    problems.push(
      `${key} (--${flagName(key)}) must be ${kind.expectation}, ` +
        `received ${secret ? 'something else' : quote(text)} from ${label}`,
    );
  }
  return value;
}
