import type { FlagForm } from '../terminal/command-line.ts';
import type { ConfigSource } from './config-source.ts';
import type { ConfigWarning } from './config-warning.ts';
import type { SettingName } from './table.ts';

/** The meaning of one of llama-server's flags here. */
type Translation =
  /** Its value, behind a prefix, becomes the value of a setting. */
  | {
      readonly setting: SettingName;
      readonly prefix?: string;
      readonly also?: Partial<Record<SettingName, string>>;
    }
  /** It takes no value and sets these settings. */
  | { readonly means: Partial<Record<SettingName, string>> }
  /** Its value is the file of the repository that `-hf` names. */
  | { readonly names: 'file' }
  /** It changes nothing, for this reason; `takes` is the number of its values. */
  | { readonly nothing: string; readonly takes?: 0 | 1 };

const always = { nothing: 'is what this server always does' };
const never = { nothing: 'is what this server never does otherwise' };

/** Supported flags of llama-server, each with its other names. */
const translations: readonly (readonly [names: string, Translation])[] = [
  ['-m --model', { setting: 'MODEL_PATH' }],
  ['-hf -hfr --hf-repo', { setting: 'MODEL', prefix: 'hf:' }],
  ['-hff --hf-file', { names: 'file' }],
  ['-mu --model-url', { setting: 'MODEL' }],
  ['-hft --hf-token', { setting: 'HF_TOKEN' }],
  ['-a --alias', { setting: 'MODEL_ALIAS' }],
  ['-c --ctx-size', { setting: 'CTX' }],
  ['-np --parallel', { setting: 'PARALLEL' }],
  ['-ngl --gpu-layers --n-gpu-layers', { setting: 'NGL' }],
  ['-t --threads', { setting: 'THREADS' }],
  ['--poll', { setting: 'THREAD_POLL' }],
  ['-b --batch-size', { setting: 'BATCH_SIZE' }],
  ['-ub --ubatch-size', { setting: 'UBATCH_SIZE' }],
  ['-fa --flash-attn', { setting: 'FLASH_ATTENTION' }],
  ['-ctk --cache-type-k', { setting: 'CACHE_TYPE_K' }],
  ['-ctv --cache-type-v', { setting: 'CACHE_TYPE_V' }],
  ['-cram --cache-ram', { setting: 'CACHE_RAM' }],
  ['-kvu --kv-unified', { means: { KV_LAYOUT: 'unified' } }],
  ['--swa-full', { means: { SWA_FULL: 'on' } }],
  ['--pooling', { setting: 'POOLING' }],
  ['--chat-template', { setting: 'CHAT_TEMPLATE' }],
  ['--chat-template-file', { setting: 'CHAT_TEMPLATE_FILE' }],
  ['-md --model-draft', { setting: 'DRAFT_MODEL_PATH', also: { SPECULATIVE: 'draft' } }],
  ['--draft --draft-n --draft-max', { setting: 'DRAFT_MAX' }],
  ['--draft-min --draft-n-min', { setting: 'DRAFT_MIN' }],
  ['--draft-p-min', { setting: 'DRAFT_P_MIN' }],
  ['-n --predict --n-predict', { setting: 'MAX_TOKENS' }],
  ['-s --seed', { setting: 'SEED' }],
  ['--temp --temperature', { setting: 'TEMPERATURE' }],
  ['--top-k', { setting: 'TOP_K' }],
  ['--top-p', { setting: 'TOP_P' }],
  ['--min-p', { setting: 'MIN_P' }],
  ['--typical', { setting: 'TYPICAL_P' }],
  ['--repeat-penalty', { setting: 'REPEAT_PENALTY' }],
  ['--repeat-last-n', { setting: 'REPEAT_LAST_N' }],
  ['--presence-penalty', { setting: 'PRESENCE_PENALTY' }],
  ['--frequency-penalty', { setting: 'FREQUENCY_PENALTY' }],
  ['-to --timeout', { setting: 'REQUEST_TIMEOUT' }],
  ['--jinja -cb --cont-batching --metrics --slots --cache-prompt', always],
  ['--embedding --embeddings --rerank --reranking', always],
  ['--offline', { means: { HF_HUB_OFFLINE: 'true' } }],
  ['--no-webui --no-ui --no-warmup --no-perf', never],
  ['--log-disable --log-colors', { nothing: 'has no meaning here: see LOG_LEVEL and LOG_FORMAT' }],
  ['--cache-reuse', { nothing: 'has no meaning here: prefixes are always shared', takes: 1 }],
  ['-sps --slot-prompt-similarity', { nothing: 'has no meaning here: slots are alike', takes: 1 }],
  ['--prio --prio-batch', { nothing: 'has no meaning here', takes: 1 }],
];

/** Flags of llama-server for things that belong to the gateway, and the settings that replace them. */
const instead: Readonly<Record<string, string>> = {
  '--host': 'HOST',
  '--port': 'PORT',
  '--api-key': 'AUTH_KEYS_FILE',
  '--api-key-file': 'AUTH_KEYS_FILE',
  '--ssl-cert-file': 'TLS_CERT',
  '--ssl-key-file': 'TLS_KEY',
  '--threads-http': 'nothing: HTTP needs no threads',
  '--props': 'nothing: properties cannot be changed while it runs',
};

const byName = new Map(
  translations.flatMap(([names, translation]) =>
    names.split(' ').map((name) => [name, translation] as const),
  ),
);

/** Whether a word is a flag, and not a negative number. */
function isFlag(word: string | undefined): boolean {
  return word !== undefined && /^--?[A-Za-z]/.test(word);
}

/**
 * Translates flags of llama-server, which the Python gateway forwarded, into settings. Nothing is forwarded here, so an
 * unsupported flag is a problem.
 * @param text - words, separated by blanks
 */
export function readExtraArgs(text: string): ConfigSource {
  const words = text.split(/\s+/).filter(Boolean);
  const read = readLlamaFlags(words, 'EXTRA_ARGS: ', () => undefined);
  const unknown = withoutValues(read.rest, () => true);
  const problems = [...read.problems, ...unknown.map(({ name, word }) => refusal(name, word))];
  const names = [...read.texts.keys()].join(', ');
  const sets: ConfigWarning = { level: 'info', message: `EXTRA_ARGS sets ${names}` };
  const warnings = [...read.warnings, ...(names === '' ? [] : [sets])];
  return { label: 'EXTRA_ARGS', texts: read.texts, problems, warnings };
}

/** Flags of llama-server among the words of a command line, and the words that are not. */
interface LlamaFlags extends Omit<ConfigSource, 'label'> {
  readonly rest: readonly OtherWord[];
}

/** A word that is no flag of llama-server. */
interface OtherWord {
  readonly word: string;
  /** Of the flag, without its value. */
  readonly name: string;
  /** Its place on the command line. */
  readonly index: number;
}

/** The form of a flag of this program, dashes included in its name; undefined for other flags. */
type OwnForm = (name: string) => FlagForm | undefined;

/**
 * Takes the flags of llama-server out of a command line, so that its users need not learn others. Those that belong to
 * the gateway are problems that name the setting.
 * @param ownForm - flags of this program stay where they are
 */
export function takeLlamaFlags(
  argv: readonly string[],
  ownForm: OwnForm,
): Omit<LlamaFlags, 'rest'> & { readonly argv: readonly string[] } {
  const { rest, problems, ...read } = readLlamaFlags(argv, '', ownForm);
  const isInstead = ({ name }: OtherWord) =>
    Object.hasOwn(instead, name) && ownForm(name) === undefined;
  const kept = withoutValues(rest, isInstead);
  return {
    ...read,
    problems: [
      ...problems,
      ...kept
        .filter(isInstead)
        .map(({ name }) => `${name} is llama-server's, use ${instead[name]}`),
    ],
    argv: kept.filter((word) => !isInstead(word)).map(({ word }) => word),
  };
}

/** Leaves out the words behind a flag that is refused: they may be its values, and secrets. */
function withoutValues(
  words: readonly OtherWord[],
  isRefused: (word: OtherWord) => boolean,
): OtherWord[] {
  let valueAt = -1;
  return words.filter((each) => {
    const isValue = each.index === valueAt && !isFlag(each.word);
    if (isValue || (isFlag(each.word) && isRefused(each))) valueAt = each.index + 1;
    return !isValue;
  });
}

/** @param where - begins each message */
function readLlamaFlags(words: readonly string[], where: string, ownForm: OwnForm): LlamaFlags {
  const texts = new Map<string, string>();
  const problems: string[] = [];
  const warnings: ConfigWarning[] = [];
  const rest: OtherWord[] = [];
  let file: string | undefined;
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    const [name = '', inline] = word.split(/=(.*)/s);
    const own = ownForm(name);
    const translation = own === undefined ? byName.get(name) : undefined;
    if (translation === undefined) {
      rest.push({ name, word, index });
      const value = words[index + 1];
      if (own?.value === 'required' && inline === undefined && value !== undefined) {
        index += 1;
        rest.push({ name: '', word: value, index });
      }
      continue;
    }
    if ('nothing' in translation) {
      warnings.push({ level: 'info', message: `${where}${name} ${translation.nothing}` });
      if (inline === undefined && translation.takes === 1 && !isFlag(words[index + 1])) index += 1;
    } else if ('means' in translation) {
      for (const [setting, value] of Object.entries(translation.means)) texts.set(setting, value);
    } else {
      const value = inline ?? (isFlag(words[index + 1]) ? undefined : words[index + 1]);
      if (value !== undefined && inline === undefined) index += 1;
      if ('names' in translation) file = value;
      else take({ name: where + name, value, translation, texts, problems });
    }
  }
  const repository = texts.get('MODEL');
  if (file !== undefined && repository?.startsWith('hf:')) {
    texts.set('MODEL', `${repository.replace(/:[^:/]*$/, '')}:${file}`);
  }
  return { texts, problems, warnings, rest };
}

const automatic: Partial<Record<SettingName, string>> = {
  CTX: '0',
  THREADS: '-1',
  MAX_TOKENS: '-1',
};

function take(flag: {
  readonly name: string;
  readonly value: string | undefined;
  readonly translation: Extract<Translation, { readonly setting: SettingName }>;
  readonly texts: Map<string, string>;
  readonly problems: string[];
}): void {
  const { name, translation, texts, problems } = flag;
  // -fa is the only flag with an optional value.
  const value = flag.value ?? (translation.setting === 'FLASH_ATTENTION' ? 'on' : undefined);
  if (value === undefined) {
    problems.push(`${name} needs a value`);
    return;
  }
  // llama-server's words for "as if it were not set".
  if (automatic[translation.setting] === value) return;
  texts.set(translation.setting, (translation.prefix ?? '') + value);
  for (const [setting, text] of Object.entries(translation.also ?? {})) texts.set(setting, text);
}

function refusal(name: string, word: string): string {
  if (!isFlag(word)) return `EXTRA_ARGS: unexpected ${JSON.stringify(word)}`;
  const better = instead[name];
  return better === undefined
    ? `EXTRA_ARGS: ${name} is not supported by this server`
    : `EXTRA_ARGS: ${name} is not for the engine to decide, use ${better}`;
}
