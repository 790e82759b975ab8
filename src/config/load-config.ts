/** From flags, the environment and files to the configuration. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { failureText } from '../core/failure-text.ts';
import { quote } from '../core/quote.ts';
import { StartError } from '../core/start-error.ts';
import { type Config, configOf } from './config.ts';
import type { ConfigSource } from './config-source.ts';
import type { ConfigWarning } from './config-warning.ts';
import { contradictions } from './contradictions.ts';
import { chooseDataDirectory, keysFileName } from './data-directory.ts';
import { readExtraArgs } from './extra-args.ts';
import { mergeSources, withDefaults } from './merge-sources.ts';
import { type Environment, readConfigFile, readEnvironment, readFlags } from './sources.ts';
import { defaultHost, isContainer, ownDataFolder } from './surroundings.ts';
import type { SettingValues } from './table.ts';

/** Where settings come from; left out: this process and its file system. */
export interface ConfigInput {
  /** Flags, without the program's name and the command. */
  readonly argv?: readonly string[];
  readonly env?: Environment;
  readonly readFile?: (path: string) => string;
  readonly pathExists?: (path: string) => boolean;
}

/** Every problem of the configuration, one line each. */
export class ConfigError extends StartError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(2, problems.join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/**
 * Reads the settings. Flags win over the environment, the environment over the `--config` file, the file over the
 * defaults; an empty text counts as not set.
 * @throws {ConfigError} with all problems at once
 */
export function loadConfig(input: ConfigInput = {}): {
  readonly config: Config;
  readonly warnings: readonly ConfigWarning[];
} {
  const { argv = [], env = process.env, pathExists = existsSync } = input;
  const readFile = input.readFile ?? ((path: string) => readFileSync(path, 'utf8'));

  // EXTRA_ARGS wins over the environment: the Python gateway put them behind the flags that it passed on itself.
  const extra = readExtraArgs(env.EXTRA_ARGS ?? '');
  const sources = [readFlags(argv), extra, readEnvironment(env)];
  const path = sources
    .map((source) => source.texts.get('CONFIG'))
    .find((text) => text !== undefined);
  if (path !== undefined) sources.push(readConfigFile(path, readFile));

  dropOtherModels(sources);
  const problems = sources.flatMap((source) => source.problems);
  const warnings = sources.flatMap((source) => source.warnings);
  const values = withDefaults(mergeSources(sources, problems, warnings));
  problems.push(...contradictions(values));
  const chatTemplate = readChatTemplate(values, readFile, problems);
  const inContainer = isContainer(env, pathExists);
  const place = { own: ownDataFolder(env, inContainer), inContainer };
  const dataDir =
    values.DATA_DIR ?? chooseDataDirectory(values.MODEL_NAME, pathExists, warnings, place);
  const keysFile = values.AUTH_KEYS_FILE ?? join(dataDir, keysFileName);
  const hasKeys = values.AUTH_ENABLED && (values.API_KEYS !== undefined || pathExists(keysFile));
  const host = defaultHost({ isContainer: inContainer, hasKeys });
  warnings.push(...values.CORS_ORIGINS.flatMap(originWarnings));
  if (problems.length > 0) throw new ConfigError(problems);
  const hasData = pathExists(dataDir);
  const context = { env, dataDir, hasData, inContainer, keysFile, host, chatTemplate };
  return { config: configOf(values, context), warnings };
}

/** MODEL of one source wins over MODEL_PATH and MODEL_NAME of later sources, and these over a later MODEL. */
function dropOtherModels(sources: ConfigSource[]): void {
  const older = ['MODEL_PATH', 'MODEL_NAME'];
  const named = (source: ConfigSource) => ({
    byModel: source.texts.has('MODEL'),
    byOlder: older.some((name) => source.texts.has(name)),
  });
  const first = sources.findIndex((source) => named(source).byModel || named(source).byOlder);
  const winner = sources[first];
  // Both in one source contradict each other.
  if (winner === undefined || (named(winner).byModel && named(winner).byOlder)) return;
  const dropped = named(winner).byModel ? older : ['MODEL'];
  for (const [index, source] of sources.entries()) {
    if (index <= first) continue;
    const texts = new Map([...source.texts].filter(([name]) => !dropped.includes(name)));
    sources[index] = { ...source, texts };
  }
}

/** Settings for which any text is valid. */
const textSettings = [
  'DATA_DIR',
  'MODELS_DIR',
  'LOG_DIR',
  'LOG_NAME',
  'WORKER_TYPE',
  'INSTANCE_ID',
];

/** For commands that must work with invalid settings, too: then only folders and names are as set. */
export function loadConfigOrDefaults(argv: readonly string[], env: Environment = process.env) {
  const configPath = readFlags(argv).texts.get('CONFIG') ?? (env.CONFIG || undefined);
  try {
    const { config } = loadConfig({ argv, env });
    return { config, problems: [], env, configPath };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const kept = [...textSettings, 'HOSTNAME'].map((name) => [name, env[name]]);
    const { config } = loadConfig({ argv: [], env: Object.fromEntries(kept) });
    return { config, problems: error.problems, env, configPath };
  }
}

function originWarnings(origin: string): ConfigWarning[] {
  // Extensions and apps have schemes of their own; a page from a file has the origin `null`.
  if (/^(\*|null|[a-z*][a-z0-9+.*-]*:\/\/[^/?#@]*)$/i.test(origin)) return [];
  const message = `CORS_ORIGINS has ${quote(origin)}, which no browser sends: an origin is a scheme, a host and at most a port, such as https://app.example.com`;
  return [{ level: 'warn', message }];
}

function readChatTemplate(
  values: SettingValues,
  readFile: (path: string) => string,
  problems: string[],
): string | undefined {
  const path = values.CHAT_TEMPLATE_FILE;
  if (path === undefined) return values.CHAT_TEMPLATE;
  try {
    const template = readFile(path);
    if (template.trim() !== '') return template;
    problems.push(`CHAT_TEMPLATE_FILE must name a file with a template, ${quote(path)} is empty`);
  } catch (error) {
    problems.push(
      `CHAT_TEMPLATE_FILE must name a readable file, received ${quote(path)}: ${failureText(error)}`,
    );
  }
  return undefined;
}
