import {
  choice,
  decimal,
  integer,
  integer64,
  layerCount,
  text,
  truth,
  type ValueKind,
} from './values.ts';

/** Headings of the settings, in the order `--help` and the documentation show them. */
export const settingGroups = ['Model', 'Engine', 'Sampling', 'Server', 'Log'] as const;

/** One row of the table: everything there is to say about a setting. */
export interface Setting<T, Fallback extends T | undefined = T | undefined> {
  readonly group: (typeof settingGroups)[number];
  readonly kind: ValueKind<T>;
  readonly fallback: Fallback;
  /** What `--help` says of the default where it is not simply {@link fallback}. */
  readonly fallbackText?: string;
  readonly summary: string;
  /** Another name for the same setting; the row's own name wins. */
  readonly alias?: string;
}

const cacheType = () =>
  choice('f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'q4_1', 'iq4_nl', 'q5_0', 'q5_1');

/** Largest count llama.cpp takes, in tokens. */
const maxTokenCount = 2 ** 31 - 1;
const engineDefault = "llama.cpp's";

/** Every setting by its environment name; {@link flagName} gives the flag. */
export const settings = {
  MODEL_PATH: optional(
    'Model',
    text('PATH'),
    'GGUF file to serve; wins over MODEL_NAME',
    'the bundled model',
  ),
  MODEL_NAME: optional('Model', text('NAME'), 'GGUF file under MODELS_DIR to serve', 'none'),
  MODELS_DIR: optional(
    'Model',
    text('PATH'),
    'folder MODEL_NAME is looked up in',
    '$DATA_DIR/models',
  ),
  DATA_DIR: optional(
    'Model',
    text('PATH'),
    'base folder of models and keys',
    'the first of /data, /runpod-volume, /workspace in use',
  ),
  MODEL_ALIAS: optional('Model', text('ID'), 'model id clients see', 'file name without .gguf'),
  MOCK_BACKEND: withDefault(
    'Model',
    truth(),
    false,
    'serve the bundled model, to try a deployment without a real one',
  ),
  STRICT_MODEL: withDefault(
    'Model',
    truth(),
    false,
    'refuse requests that name another model than the one served',
  ),
  GPU: withDefault(
    'Model',
    choice('auto', 'cuda', 'vulkan', 'metal', 'off'),
    'auto',
    'compute backend: auto, cuda, vulkan, metal, off',
  ),
  NGL: withDefault(
    'Model',
    layerCount(),
    'auto',
    'layers on the GPU: auto = as many as fit, max or 99 = all, 0 = none',
  ),
  CHAT_TEMPLATE: optional(
    'Model',
    text('JINJA'),
    "chat template to use instead of the model's own",
    "the model's",
  ),
  CHAT_TEMPLATE_FILE: optional(
    'Model',
    text('PATH'),
    'file that holds the chat template',
    "the model's",
  ),
  REASONING: withDefault(
    'Model',
    choice('auto', 'on', 'off'),
    'auto',
    'reason before the answer where a request does not say; auto = as the chat template does by itself',
  ),

  CTX: optional(
    'Engine',
    integer({ min: 1, max: maxTokenCount }),
    'tokens each request may use, prompt and completion together',
    'what the model was trained for, at most 16384',
  ),
  PARALLEL: {
    ...optional(
      'Engine',
      integer({ min: 1, max: 256 }),
      'requests that are generated at the same time (slots)',
      '4 on CPU, 16 on a GPU',
    ),
    alias: 'MAX_CONCURRENT_REQUESTS',
  },
  KV_TOKENS: optional(
    'Engine',
    integer({ min: 1, max: maxTokenCount }),
    'tokens the KV cache of all slots holds together',
    'PARALLEL x CTX',
  ),
  KV_LAYOUT: withDefault(
    'Engine',
    choice('auto', 'unified', 'split'),
    'auto',
    'one KV cache for all requests, or a part for each slot; auto: split where every slot has room',
  ),
  THREADS: withDefault('Engine', integer({ min: 0, max: 1024 }), 0, 'CPU threads; 0 = choose'),
  BATCH_SIZE: withDefault(
    'Engine',
    integer({ min: 1, max: 65_536 }),
    2048,
    'tokens given to one llama_decode call at most',
  ),
  UBATCH_SIZE: withDefault(
    'Engine',
    integer({ min: 1, max: 65_536 }),
    512,
    'tokens computed at once; at most BATCH_SIZE',
  ),
  STEP_TARGET_MS: withDefault(
    'Engine',
    integer({ min: 1, max: 60_000 }),
    50,
    'milliseconds a prompt may delay the next token of running streams',
  ),
  FLASH_ATTENTION: withDefault('Engine', choice('auto', 'on', 'off'), 'auto', 'flash attention'),
  CACHE_TYPE_K: withDefault(
    'Engine',
    cacheType(),
    'f16',
    'type of the K cache: f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0, q5_1',
  ),
  CACHE_TYPE_V: withDefault(
    'Engine',
    cacheType(),
    'f16',
    'type of the V cache; a quantised one needs flash attention',
  ),
  SPECULATIVE: withDefault(
    'Engine',
    choice('off', 'ngram', 'draft'),
    'off',
    'guess tokens and check them in one step: ngram looks them up in the text, draft asks a smaller model',
  ),
  DRAFT_MODEL_PATH: optional(
    'Engine',
    text('PATH'),
    'GGUF file of the smaller model, of the same vocabulary; with SPECULATIVE=draft',
    'none',
  ),
  DRAFT_MAX: withDefault(
    'Engine',
    integer({ min: 1, max: 64 }),
    8,
    'tokens guessed at a time at most; fewer where more would not pay',
  ),
  DRAFT_MIN: withDefault(
    'Engine',
    integer({ min: 1, max: 64 }),
    1,
    'shorter guesses are not checked; at most DRAFT_MAX',
  ),
  DRAFT_P_MIN: withDefault(
    'Engine',
    decimal({ min: 0, max: 1 }),
    0.75,
    'least probability the draft model must give a token it guesses',
  ),
  NGRAM_SIZE: withDefault(
    'Engine',
    integer({ min: 2, max: 64 }),
    4,
    'tokens in a row that ngram must find earlier in the text',
  ),
  MAX_TOKENS: withDefault(
    'Engine',
    integer({ min: 1, max: maxTokenCount }),
    4096,
    'completion tokens of a request that names no limit',
  ),

  TEMPERATURE: sampling(decimal({ min: 0, max: 2 }), '0 always takes the likeliest token'),
  TOP_P: sampling(decimal({ min: 0, max: 1, aboveMin: true }), 'nucleus sampling; 1 = off'),
  TOP_K: sampling(integer({ min: 0, max: maxTokenCount }), 'tokens to choose from; 0 = all'),
  MIN_P: sampling(decimal({ min: 0, max: 1 }), 'least share of the likeliest token; 0 = off'),
  TYPICAL_P: sampling(decimal({ min: 0, max: 1, aboveMin: true }), 'typical sampling; 1 = off'),
  REPEAT_PENALTY: sampling(
    decimal({ min: 0, max: 10, aboveMin: true }),
    'penalty of tokens seen lately; 1 = off',
  ),
  REPEAT_LAST_N: sampling(
    integer({ min: 0, max: maxTokenCount }),
    'tokens the penalties look back over; 0 = off',
  ),
  FREQUENCY_PENALTY: sampling(decimal({ min: -2, max: 2 }), 'penalty per occurrence; 0 = off'),
  PRESENCE_PENALTY: sampling(decimal({ min: -2, max: 2 }), 'penalty of a token seen; 0 = off'),
  SEED: sampling(integer64(), 'seed of the random choices', 'random'),

  HOST: withDefault('Server', text('ADDRESS'), '0.0.0.0', 'address both listeners bind'),
  PORT: {
    ...withDefault('Server', integer({ min: 0, max: 65_535 }), 8000, 'API port; 0 = any free one'),
    alias: 'GATEWAY_PORT',
  },
  PORT_HEALTH: withDefault(
    'Server',
    integer({ min: 0, max: 65_535 }),
    8001,
    'health port; 0 = any free one',
  ),
  AUTH_ENABLED: withDefault('Server', truth(), true, 'require an API key'),
  MAX_REQUEST_BODY_SIZE: withDefault(
    'Server',
    integer({ min: 1, max: 2 ** 29 }),
    10_485_760,
    'bytes of a request body at most',
  ),
  DRAIN_TIMEOUT: withDefault(
    'Server',
    decimal({ min: 0, max: 86_400 }),
    30,
    'seconds running requests may take to finish once the server is asked to stop',
  ),
  HEALTH_READINESS: withDefault(
    'Server',
    truth(),
    false,
    'health port answers /ping with 204 until the model is ready',
  ),
  CONFIG: optional('Server', text('PATH'), 'JSON file with settings by any of their names', 'none'),

  LOG_LEVEL: withDefault(
    'Log',
    choice('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    'info',
    'least severe lines to log: trace, debug, info, warn, error, fatal, silent',
  ),
  LOG_FORMAT: withDefault('Log', choice('text', 'json'), 'text', 'form of the log lines'),
} as const satisfies Record<string, Setting<unknown>>;

export type SettingName = keyof typeof settings;

/** What the table's kinds parse to; undefined where a setting has no default and was not given. */
export type SettingValues = {
  readonly [Name in SettingName]: (typeof settings)[Name] extends Setting<infer T, infer Fallback>
    ? T | Fallback
    : never;
};

export const settingNames = Object.keys(settings) as readonly SettingName[];

/** The setting as every row has it, for those who walk the table. */
export function settingOf(name: SettingName): Setting<unknown> {
  return settings[name];
}

/** `MODEL_PATH` to `model-path`. */
export function flagName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}

/** Environment names that look like settings but are not, and the one to use. */
export const misnamedSettings: Readonly<Record<string, string>> = {
  GPU_LAYERS: 'NGL',
  CONTEXT_SIZE: 'CTX',
  RATE_LIMIT: 'MAX_REQUESTS_PER_MINUTE',
};

/** Environment names that had a meaning when the engine was a second process behind a socket. */
export const obsoleteSettings: readonly string[] = [
  'PORT_BACKEND',
  'BACKEND_PORT',
  'BACKEND_HOST',
  'BACKEND_API_KEY',
  'BACKEND_CONNECT_TIMEOUT',
];

/** Environment names that this version knows and does not act on. */
export const unusedSettings: readonly string[] = [
  'AUTH_KEYS_FILE',
  'MAX_REQUESTS_PER_MINUTE',
  'METRICS_AUTH_ENABLED',
  'CORS_ORIGINS',
  'MAX_QUEUE_SIZE',
  'MAX_HEADERS',
  'MAX_HEADER_LINE_SIZE',
  'MAX_REQUEST_LINE_SIZE',
  'REQUEST_TIMEOUT',
  'CLIENT_HEADER_TIMEOUT',
  'HEALTH_TIMEOUT',
  'EXTRA_ARGS',
  'LOG_NAME',
  'LOG_DIR',
  'WORKER_TYPE',
  'INSTANCE_ID',
  'DEBUG_SHELL',
  'POOLING',
  'SUPERVISE',
];

function withDefault<T>(
  group: Setting<T>['group'],
  kind: ValueKind<T>,
  fallback: NoInfer<T>,
  summary: string,
): Setting<T, T> {
  return { group, kind, fallback, summary };
}

function optional<T>(
  group: Setting<T>['group'],
  kind: ValueKind<T>,
  summary: string,
  fallbackText: string,
): Setting<T, undefined> & { readonly fallbackText: string } {
  return { group, kind, fallback: undefined, summary, fallbackText };
}

function sampling<T>(kind: ValueKind<T>, summary: string, fallbackText = engineDefault) {
  return optional('Sampling', kind, summary, fallbackText);
}
