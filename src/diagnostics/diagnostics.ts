import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Config } from '../config/config.ts';
import { flagName } from '../config/table.ts';
import { programVersion } from '../core/package-info.ts';
import { redact, shownEnvironment, shownSettings } from './redact.ts';
import {
  containerInfo,
  errorLines,
  gpuInfo,
  healthStatus,
  logTails,
  modelInfo,
  processes,
  systemInfo,
} from './sections.ts';
import { tarGz } from './tar.ts';

/** The input of a diagnosis. */
export interface DiagnosisOptions {
  readonly config: Config;
  /** Why the settings are not valid; `config` then has the defaults. */
  readonly problems: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The `--config` file, if one is named. */
  readonly configPath: string | undefined;
  /** Where the folder and the archive are written. */
  readonly outputFolder: string;
}

/**
 * Writes a folder and an archive that describe the setup and the state of this server, for support without access to
 * it. They contain no keys, prompts or completions.
 * @returns the path of the archive
 */
export async function writeDiagnosis(options: DiagnosisOptions): Promise<string> {
  const { config, problems, env, configPath, outputFolder } = options;
  const now = new Date();
  const stamp = now
    .toISOString()
    .replace(/[-:]|\..*$/g, '')
    .replace('T', '_');
  const name = `diagnostics_${stamp}`;
  const tails = logTails(config);
  const sections = new Map<string, string>([
    ['system_info.txt', systemInfo(config)],
    ['gpu_info.txt', await gpuInfo()],
    ['container_info.txt', containerInfo()],
    ['environment.txt', shownEnvironment(env)],
    ['processes.txt', processes()],
    ['model_info.json', modelInfo(config)],
    ['health_status.txt', await healthStatus(config)],
    ['config.json', `${JSON.stringify(shownConfig(config), null, 2)}\n`],
    ['errors.txt', errorLines(tails)],
    ...tails,
  ]);
  if (configPath !== undefined) sections.set('config_file.json', shownConfigFile(configPath));
  const summary = [
    `llama-gguf-inference ${programVersion}, ${now.toISOString()}`,
    ...problems.map((problem) => `wrong setting: ${problem}`),
    config.log.files === undefined
      ? 'there are no log files: no data folder, and LOG_DIR is not set'
      : `log files: ${config.log.files.folder}`,
    '',
    ...sections.keys(),
    '',
  ].join('\n');

  const entries = [['SUMMARY.txt', summary] as const, ...sections].map(([file, text]) => ({
    path: `${name}/${file}`,
    content: redact(text),
  }));
  for (const { path, content } of entries) {
    const target = join(outputFolder, path);
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    writeFileSync(target, content, { mode: 0o600 });
  }
  const archive = resolve(outputFolder, `${name}.tar.gz`);
  writeFileSync(archive, tarGz(entries, now), { mode: 0o600 });
  return archive;
}

/** Fields with secrets. */
const hiddenFields: ReadonlySet<string> = new Set(['environmentKeys', 'hubToken', 'redisUrl']);

/** Everything but secrets and the text of a chat template. */
function shownConfig(config: Config): object {
  return JSON.parse(
    JSON.stringify(config, (name, value: unknown) => {
      if (typeof value === 'bigint') return String(value);
      if (typeof value !== 'string') return value;
      if (name === 'chatTemplate') return `${value.length} characters`;
      return hiddenFields.has(name) ? '[not shown]' : value;
    }),
  );
}

/** The values of known settings; other keys without their values. */
function shownConfigFile(path: string): string {
  try {
    const parsed = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    const shown = Object.entries(parsed).map(([key, value]) => {
      const isShown = [...shownSettings].some((setting) => flagName(setting) === flagName(key));
      return [key, isShown ? value : '[not shown]'];
    });
    return `${JSON.stringify(Object.fromEntries(shown), null, 2)}\n`;
  } catch {
    return 'it cannot be read, or is not JSON\n';
  }
}
