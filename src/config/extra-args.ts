import type { ConfigWarning } from './config-warning.ts';
import type { ConfigSource } from './sources.ts';
import type { SettingName } from './table.ts';

/** The meaning of one of llama-server's flags here. */
type Translation =
  /** Its value becomes the value of a setting. */
  | { readonly setting: SettingName; readonly also?: Partial<Record<SettingName, string>> }
  /** It takes no value and sets these settings. */
  | { readonly means: Partial<Record<SettingName, string>> }
  /** It changes nothing, for this reason; `takes` is the number of its values. */
  | { readonly nothing: string; readonly takes?: 0 | 1 };

const always = { nothing: 'is what this server always does' };
const never = { nothing: 'is what this server never does otherwise' };

/** Supported flags of llama-server, each with its other names. */
const translations: readonly (readonly [names: string, Translation])[] = [
  ['-m --model', { setting: 'MODEL_PATH' }],
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
  ['--no-webui --no-ui --offline --no-warmup --no-perf', never],
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
  const texts = new Map<string, string>();
  const problems: string[] = [];
  const warnings: ConfigWarning[] = [];
  const words = text.split(/\s+/).filter(Boolean);
  for (let index = 0; index < words.length; index++) {
    const [name = '', inline] = (words[index] ?? '').split(/=(.*)/s);
    const translation = byName.get(name);
    if (translation === undefined) {
      problems.push(refusal(name, words[index] ?? ''));
      // The words behind an unknown flag may be its values.
      while (!isFlag(words[index + 1]) && index + 1 < words.length) index += 1;
      continue;
    }
    if ('nothing' in translation) {
      warnings.push({ level: 'info', message: `EXTRA_ARGS: ${name} ${translation.nothing}` });
      if (inline === undefined && translation.takes === 1 && !isFlag(words[index + 1])) index += 1;
    } else if ('means' in translation) {
      for (const [setting, value] of Object.entries(translation.means)) texts.set(setting, value);
    } else {
      const value = inline ?? (isFlag(words[index + 1]) ? undefined : words[index + 1]);
      if (value !== undefined && inline === undefined) index += 1;
      take({ name, value, translation, texts, problems });
    }
  }
  if (texts.size > 0) {
    const names = [...texts.keys()].join(', ');
    warnings.push({ level: 'info', message: `EXTRA_ARGS sets ${names}` });
  }
  return { label: 'EXTRA_ARGS', texts, problems, warnings };
}

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
    problems.push(`EXTRA_ARGS: ${name} needs a value`);
    return;
  }
  texts.set(translation.setting, value);
  for (const [setting, text] of Object.entries(translation.also ?? {})) texts.set(setting, text);
}

function refusal(name: string, word: string): string {
  if (!isFlag(word)) return `EXTRA_ARGS: unexpected ${JSON.stringify(word)}`;
  const better = instead[name];
  return better === undefined
    ? `EXTRA_ARGS: ${name} is not supported by this server`
    : `EXTRA_ARGS: ${name} is not for the engine to decide, use ${better}`;
}
