import { failureText } from '../core/failure-text.ts';
import { nearest } from '../core/nearest.ts';
import { quote } from '../core/quote.ts';
import { type FlagForm, readCommandLine } from '../terminal/command-line.ts';
import type { ConfigSource } from './config-source.ts';
import type { ConfigWarning } from './config-warning.ts';
import { takeLlamaFlags } from './extra-args.ts';
import { foreignNameWarnings } from './foreign-names.ts';
import { flagName, namesOfSetting, settingNames, settingOf } from './table.ts';

/** Variables of the environment. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Environment names and aliases by their flag. */
const nameByFlag = new Map(
  settingNames.flatMap(namesOfSetting).map((name) => [flagName(name), name]),
);

const flagForms = new Map(
  settingNames.flatMap((name) => {
    const isSwitch = settingOf(name).kind.placeholder === undefined;
    const form: FlagForm = { value: isSwitch ? 'optional' : 'required', negatable: isSwitch };
    return namesOfSetting(name).map((each) => [flagName(each), form] as const);
  }),
);

function ownForm(name: string): FlagForm | undefined {
  return name.startsWith('--') ? flagForms.get(name.replace(/^--(no-)?/, '')) : undefined;
}

const truthWord = /^(true|false|yes|no|on|off|[01])$/i;

/**
 * Flags `--name value`, `--name=value`, `--switch` and `--no-switch`, of this program and of llama-server, and at most one
 * word, which is the model. The last of several flags wins, and those of this program win over those of llama-server.
 */
export function readFlags(argv: readonly string[]): ConfigSource {
  const llama = takeLlamaFlags(argv, ownForm);
  const { flags, words, problems: wrong } = readCommandLine(llama.argv, flagForms, 1);
  const problems = [...wrong];
  const [model] = words;
  const texts = new Map(llama.texts);
  for (const { name: flag, value, negated } of flags) {
    const name = nameByFlag.get(flag) ?? flag;
    if (value === '') texts.delete(name);
    else texts.set(name, value ?? String(!negated));
  }
  // What follows a switch is no model: `--strict-model false`.
  if (model !== undefined && truthWord.test(model)) {
    problems.push(`unexpected argument ${quote(model)}`);
  } else if (model !== undefined && texts.has('MODEL')) {
    problems.push(
      `the model is named twice: ${quote(model)} and ${quote(texts.get('MODEL') ?? '')}`,
    );
  } else if (model !== undefined && model !== '') texts.set('MODEL', model);
  return {
    ...{ label: 'a flag', texts, warnings: llama.warnings },
    problems: [...llama.problems, ...problems],
  };
}

/** Settings of the environment, with warnings for names that only look like settings. */
export function readEnvironment(environment: Environment): ConfigSource {
  const texts = new Map<string, string>();
  const warnings: ConfigWarning[] = [];
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || value === '' || name === 'EXTRA_ARGS') continue;
    if (nameByFlag.get(flagName(name)) === name) texts.set(name, value);
    else warnings.push(...foreignNameWarnings(name));
  }
  return { label: 'the environment', texts, problems: [], warnings };
}

/** Settings of a JSON object, by environment name (`MODEL_PATH`) or flag (`model-path`). */
export function readConfigFile(path: string, readFile: (path: string) => string): ConfigSource {
  const texts = new Map<string, string>();
  const problems: string[] = [];
  for (const [key, value] of Object.entries(parseConfigFile(path, readFile, problems))) {
    const name = nameByFlag.get(flagName(key));
    if (name === undefined || name === 'CONFIG') {
      const meant = nearest(flagName(key), nameByFlag.keys());
      problems.push(
        `unknown setting ${quote(key)} in ${path}${meant === undefined ? '' : `, did you mean ${nameByFlag.get(meant)}?`}`,
      );
    } else if (value === null || value === '') {
      texts.delete(name);
    } else if (['string', 'number', 'boolean'].includes(typeof value)) {
      texts.set(name, String(value));
    } else {
      problems.push(`${name} must be a text, a number or a boolean in ${path}`);
    }
  }
  return { label: path, texts, problems, warnings: [] };
}

function parseConfigFile(
  path: string,
  readFile: (path: string) => string,
  problems: string[],
): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(readFile(path));
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) {
      return { ...parsed };
    }
    problems.push(`CONFIG must name a file that holds a JSON object, ${path} holds something else`);
  } catch (error) {
    const reason = error instanceof SyntaxError ? 'it is not valid JSON' : failureText(error);
    problems.push(`CONFIG must name a readable JSON file, received ${quote(path)}: ${reason}`);
  }
  return {};
}
