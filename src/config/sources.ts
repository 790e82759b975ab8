import { parseArgs } from 'node:util';
import { failureText } from '../core/failure-text.ts';
import { nearest } from '../core/nearest.ts';
import { quote } from '../core/quote.ts';
import type { ConfigWarning } from './config-warning.ts';
import { foreignNameWarnings } from './foreign-names.ts';
import { flagName, namesOfSetting, settingNames, settingOf } from './table.ts';

/** Variables of the environment. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What one source says, not yet parsed: text by environment name, aliases under their own name. */
export interface ConfigSource {
  /** Completes "received … from …". */
  readonly label: string;
  readonly texts: ReadonlyMap<string, string>;
  readonly problems: readonly string[];
  readonly warnings: readonly ConfigWarning[];
}

/** Environment names and aliases by their flag. */
const nameByFlag = new Map(
  settingNames.flatMap(namesOfSetting).map((name) => [flagName(name), name]),
);
const switchFlags = new Set(
  settingNames
    .filter((name) => settingOf(name).kind.placeholder === undefined)
    .flatMap(namesOfSetting)
    .map(flagName),
);

/** Flags `--name value`, `--name=value`, `--switch` and `--no-switch`; the last of a kind wins. */
export function readFlags(argv: readonly string[]): ConfigSource {
  const texts = new Map<string, string>();
  const problems: string[] = [];
  const options = Object.fromEntries(
    [...nameByFlag.keys()].map((flag) => [
      flag,
      { type: switchFlags.has(flag) ? ('boolean' as const) : ('string' as const) },
    ]),
  );
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  let afterUnknownFlag = false;
  for (const token of tokens) {
    if (token.kind === 'positional') {
      if (!afterUnknownFlag) problems.push(`unexpected argument ${quote(token.value)}`);
    }
    if (token.kind !== 'option') {
      afterUnknownFlag = false;
      continue;
    }
    const problem = takeFlag(token, texts);
    if (problem !== undefined) problems.push(problem);
    afterUnknownFlag = problem?.startsWith('unknown flag') ?? false;
  }
  return { label: 'a flag', texts, problems, warnings: [] };
}

/** Settings of the environment, and a warning for names that look like one but are not. */
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

interface FlagToken {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

/** Puts the flag's text into `texts`; the answer is what is wrong with it, if anything is. */
function takeFlag(token: FlagToken, texts: Map<string, string>): string | undefined {
  const isLong = token.rawName.startsWith('--');
  const positive = token.name.startsWith('no-') ? token.name.slice('no-'.length) : undefined;
  if (isLong && positive !== undefined && switchFlags.has(positive)) {
    if (token.value !== undefined) return `${token.rawName} takes no value`;
    texts.set(nameByFlag.get(positive) ?? positive, 'false');
    return undefined;
  }
  const name = isLong ? nameByFlag.get(token.name) : undefined;
  if (name === undefined) {
    const meant = nearest(token.name, nameByFlag.keys());
    return `unknown flag ${token.rawName}${meant === undefined ? '' : `, did you mean --${meant}?`}`;
  }
  if (switchFlags.has(token.name)) {
    texts.set(name, token.value ?? 'true');
    return undefined;
  }
  const swallowedFlag = token.inlineValue === false && token.value?.startsWith('--') === true;
  if (token.value === undefined || swallowedFlag) return `${token.rawName} needs a value`;
  if (token.value === '') texts.delete(name);
  else texts.set(name, token.value);
  return undefined;
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
