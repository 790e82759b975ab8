import { isKeyId } from '../access/keys/key-line.ts';
import {
  addresses,
  choice,
  decimal,
  integer,
  integer64,
  layerCount,
  list,
  origins,
  processorList,
  text,
  truth,
  url,
  type ValueKind,
} from '../core/value-kinds.ts';
import { logFormats, logLevels } from '../log/log-settings.ts';

/** Headings of the settings, in the order `--help` and the documentation show them. */
export const settingGroups = [
  'Model',
  'Engine',
  'Sampling',
  'Server',
  'Supervisor',
  'Keys',
  'Log',
] as const;

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
  /** Its value is shown nowhere. */
  readonly secret?: true;
}

const cacheType = () =>
  choice('f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'q4_1', 'iq4_nl', 'q5_0', 'q5_1');

/** Largest count llama.cpp takes, in tokens. */
const maxTokenCount = 2 ** 31 - 1;
/** Processors and threads that ggml counts. */
const maxProcessor = 511;
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
    'base folder of models, keys and logs',
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
  THREADS: withDefault(
    'Engine',
    integer({ min: 0, max: maxProcessor + 1 }),
    0,
    'CPU threads that compute; 0 = the cores there are, less one in eight for the rest from 3 on',
  ),
  THREAD_POLL: optional(
    'Engine',
    integer({ min: 0, max: 100 }),
    'how long CPU threads spin between computations before they sleep; 0 = sleep at once, 1 = some milliseconds',
    '1 where the CPU computes, else 0',
  ),
  CPU_AFFINITY: optional(
    'Engine',
    processorList({ max: maxProcessor }),
    'processors the CPU threads may run on, like 0-3,8',
    'any',
  ),
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
  CPU_KERNELS: withDefault(
    'Engine',
    truth(),
    true,
    "on x86-64 Linux, multiply Q8_0 weights with kernels faster than llama.cpp's, which has its own for AMX; results are equal bit for bit",
  ),
  PROMPT_LANE: withDefault(
    'Engine',
    truth(),
    true,
    'on a CPU, compute long prompts in a context of their own, between the steps of others (memory of one more slot)',
  ),
  STEP_TARGET_MS: withDefault(
    'Engine',
    integer({ min: 1, max: 60_000 }),
    50,
    'milliseconds a prompt may delay the next token of running streams',
  ),
  STREAM_INTERVAL_MS: optional(
    'Engine',
    integer({ min: 0, max: 1000 }),
    'milliseconds, and the rest of a step, that tokens of a running stream may wait to be sent together; 0 = each at once',
    '16 on a CPU whose cores all compute, else 0',
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
  POOLING: withDefault(
    'Engine',
    choice('auto', 'mean', 'cls', 'last'),
    'auto',
    'one vector of those of all tokens, for embeddings; auto: as the file says, else mean',
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
  MAX_REQUEST_BODY_SIZE: withDefault(
    'Server',
    integer({ min: 1, max: 2 ** 29 }),
    10_485_760,
    'bytes of a request body at most',
  ),
  MAX_HEADERS: withDefault(
    'Server',
    integer({ min: 1, max: 10_000 }),
    64,
    'headers of a request at most',
  ),
  MAX_HEADER_LINE_SIZE: withDefault(
    'Server',
    integer({ min: 64, max: 2 ** 20 }),
    8192,
    'bytes of a header line at most',
  ),
  MAX_REQUEST_LINE_SIZE: withDefault(
    'Server',
    integer({ min: 64, max: 2 ** 20 }),
    8192,
    'bytes of the request line at most',
  ),
  MAX_CONNECTIONS: withDefault(
    'Server',
    integer({ min: 1, max: 1_000_000 }),
    4096,
    'connections to the API port at the same time',
  ),
  CLIENT_HEADER_TIMEOUT: withDefault(
    'Server',
    decimal({ min: 0, max: 3600, aboveMin: true }),
    30,
    'seconds a client may take to send its headers; the body may take as long again',
  ),
  TLS_CERT: optional(
    'Server',
    text('PATH'),
    'PEM file with the certificate of the API port; with TLS_KEY',
    'none: HTTP',
  ),
  TLS_KEY: optional('Server', text('PATH'), 'PEM file with its private key', 'none: HTTP'),
  REQUEST_TIMEOUT: withDefault(
    'Server',
    decimal({ min: 0, max: 604_800 }),
    300,
    'seconds a completion or a vector may take from its turn on, streams included; 0 = no limit',
  ),
  MAX_QUEUE_SIZE: withDefault(
    'Server',
    integer({ min: 0, max: 1_000_000 }),
    0,
    'requests that may wait for a slot; 0 = no limit',
  ),
  MAX_QUEUE_WAIT: withDefault(
    'Server',
    decimal({ min: 0, max: 604_800 }),
    0,
    'seconds a request may wait for a slot; 0 = no limit',
  ),
  CORS_ORIGINS: optional(
    'Server',
    origins(),
    'origins whose pages may call the server; * = all',
    'none',
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

  DEBUG_SHELL: withDefault(
    'Supervisor',
    truth(),
    false,
    'start nothing, show the environment without secrets, and stay for 300 seconds',
  ),
  SUPERVISE: withDefault(
    'Supervisor',
    truth(),
    true,
    'run the gateway as a child process that is started again when it crashes',
  ),
  WATCHDOG_TIMEOUT: withDefault(
    'Supervisor',
    decimal({ min: 0, max: 86_400 }),
    300,
    'seconds without a step, while requests wait for one, after which the gateway is stuck; 0 = never',
  ),
  RESTART_LIMIT: withDefault(
    'Supervisor',
    integer({ min: 0, max: 1000 }),
    5,
    'restarts in a row after which the supervisor gives up; a minute without a crash ends the row',
  ),
  AUTH_ENABLED: withDefault('Keys', truth(), true, 'require an API key'),
  AUTH_KEYS_FILE: optional(
    'Keys',
    text('PATH'),
    'file with the API keys',
    '$DATA_DIR/api_keys.txt',
  ),
  ADMIN_KEY_IDS: optional(
    'Keys',
    list('ID,...', isKeyId, 'key ids'),
    'keys that may run the server, among those whose lines name no scopes',
    'all',
  ),
  METRICS_AUTH_ENABLED: withDefault('Keys', truth(), false, 'require an API key for /metrics, too'),
  AUTH_FAILURES_PER_MINUTE: withDefault(
    'Keys',
    integer({ min: 0, max: 1_000_000 }),
    30,
    'wrong keys a client address may send in a minute before it has to wait; 0 = any number',
  ),
  TRUSTED_PROXIES: optional(
    'Keys',
    addresses(),
    'proxies whose X-Forwarded-For is believed',
    'none',
  ),
  MAX_REQUESTS_PER_MINUTE: withDefault(
    'Keys',
    integer({ min: 1, max: 1_000_000_000 }),
    100,
    'requests a minute of a key whose line does not say',
  ),
  MAX_TOKENS_PER_MINUTE: keyLimit('tokens a minute of a key whose line does not say'),
  MAX_TOKENS_PER_DAY: keyLimit('tokens a day of a key whose line does not say'),
  MAX_CONCURRENT_PER_KEY: keyLimit('requests at the same time of a key whose line does not say'),
  REDIS_URL: {
    ...optional(
      'Keys',
      url('redis:', 'rediss:'),
      'Redis that counts what keys use, for several servers together',
      'each server counts by itself',
    ),
    secret: true,
  },
  CACHE_SHARING: withDefault(
    'Keys',
    truth(),
    false,
    'let a key start from prefixes that requests of other keys computed',
  ),

  LOG_LEVEL: withDefault(
    'Log',
    choice(...logLevels),
    'info',
    'least severe lines to log: trace, debug, info, warn, error, fatal, silent',
  ),
  LOG_FORMAT: withDefault('Log', choice(...logFormats), 'text', 'form of the log lines'),
  LOG_DIR: optional(
    'Log',
    text('PATH'),
    'folder of log files',
    '$DATA_DIR/logs; none where there is no data folder',
  ),
  LOG_NAME: withDefault('Log', text('NAME'), 'llama', 'folder of the server log under LOG_DIR'),
  WORKER_TYPE: optional(
    'Log',
    text('NAME'),
    'kind of worker; LOG_NAME is then llama-<kind>',
    'none',
  ),
  INSTANCE_ID: optional(
    'Log',
    text('ID'),
    'name of this server in the names of its log files and its usage ledger',
    '$HOSTNAME, else unknown',
  ),
  LOG_MAX_SIZE: withDefault(
    'Log',
    integer({ min: 0, max: 2 ** 40 }),
    52_428_800,
    'bytes after which a log file is put aside and a new one begun; 0 = never',
  ),
  LOG_MAX_FILES: withDefault(
    'Log',
    integer({ min: 1, max: 1000 }),
    5,
    'log files of a kind that are kept',
  ),
  ACCESS_LOG: withDefault('Log', truth(), true, 'a log line for every request'),
  OTEL_EXPORTER_OTLP_ENDPOINT: optional(
    'Log',
    url('http:', 'https:'),
    'collector that traces of requests are sent to (OTLP over HTTP)',
    'none',
  ),
  USAGE_LEDGER: withDefault(
    'Log',
    truth(),
    true,
    'record what each key uses in $DATA_DIR/usage; nowhere without a data folder',
  ),
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

/** Environment names that have nothing left to set, and why. */
export const pointlessSettings: Readonly<Record<string, string>> = {
  HEALTH_TIMEOUT: 'health is answered from memory and waits for nothing',
};

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

function keyLimit(what: string) {
  const kind = integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
  return withDefault('Keys', kind, 0, `${what}; 0 = no limit`);
}

function sampling<T>(kind: ValueKind<T>, summary: string, fallbackText = engineDefault) {
  return optional('Sampling', kind, summary, fallbackText);
}
