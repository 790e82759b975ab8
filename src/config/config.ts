import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { KeyLimits } from '../access/keys/api-key.ts';
import type { LedgerPlace } from '../access/usage/ledger.ts';
import type { AdmissionLimits } from '../admission/admission.ts';
import { failureText } from '../core/failure-text.ts';
import { quote } from '../core/quote.ts';
import { StartError } from '../core/start-error.ts';
import type { SamplingParams } from '../engine/engine.ts';
import type { LogFilesSettings, LogSettings } from '../log/log-settings.ts';
import { chooseDataDirectory } from './data-directory.ts';
import { readExtraArgs } from './extra-args.ts';
import { instanceName, logFilesIn } from './log-config.ts';
import {
  type ConfigSource,
  type ConfigWarning,
  readConfigFile,
  readEnvironment,
  readFlags,
} from './sources.ts';
import {
  flagName,
  type SettingName,
  type SettingValues,
  settingNames,
  settingOf,
} from './table.ts';

/** Everything the server was told, checked and frozen. Undefined means: not set, choose well. */
export interface Config {
  readonly server: {
    readonly host: string;
    readonly port: number;
    readonly healthPort: number;
    readonly drainTimeoutMs: number;
    readonly limits: HttpLimits;
    /** Undefined: the API port speaks HTTP. */
    readonly tls: TlsFiles | undefined;
    readonly queue: AdmissionLimits;
    /** 0 is without limit. */
    readonly generationTimeoutMs: number;
    readonly corsOrigins: readonly string[];
    readonly healthReadiness: boolean;
    readonly strictModel: boolean;
    /** Addresses and networks. */
    readonly trustedProxies: readonly string[];
  };
  readonly model: ModelConfig;
  readonly engine: EngineConfig;
  readonly auth: AuthConfig;
  /** Start nothing and stay for a while. */
  readonly debugShell: boolean;
  readonly supervision: {
    readonly enabled: boolean;
    /** 0: never. */
    readonly watchdogTimeoutMs: number;
    readonly restartLimit: number;
  };
  /** Where traces of requests go; undefined: nowhere. */
  readonly tracesEndpoint: string | undefined;
  /** Where it is recorded what keys used; undefined: nowhere. */
  readonly ledger: LedgerPlace | undefined;
  readonly log: LogSettings & {
    /** A line for every request. */
    readonly access: boolean;
  };
}

/** Where a certificate and its private key are. */
export interface TlsFiles {
  /** PEM, the certificate of the server first, then the certificates that signed it. */
  readonly certPath: string;
  /** PEM, without a password. */
  readonly keyPath: string;
}

/** What a client may send, and how long it may take. Sizes are in bytes, line ends included. */
export interface HttpLimits {
  readonly bodyBytes: number;
  readonly headerCount: number;
  readonly headerLineBytes: number;
  readonly requestLineBytes: number;
  /** For the headers; the whole request has twice as long. */
  readonly headerTimeoutMs: number;
  /** Open at the same time; what comes beyond is closed at once. */
  readonly connectionCount: number;
}

/** Who may use the server. */
export interface AuthConfig {
  readonly enabled: boolean;
  readonly keysFile: string;
  /** None: every key without scopes of its own may run the server. */
  readonly adminKeyIds: readonly string[];
  readonly protectedMetrics: boolean;
  /** Of one client address; 0 is without limit. */
  readonly failuresPerMinute: number;
  readonly sharedCache: boolean;
  /** Of keys whose lines do not say; what is left out has no limit. */
  readonly defaultLimits: KeyLimits;
  readonly redisUrl: string | undefined;
}

/** Which file, and where its weights go. Without a path and a name it is the bundled model. */
export interface ModelConfig {
  readonly path: string | undefined;
  readonly name: string | undefined;
  /** Serve the bundled model on purpose; then there is neither a path nor a name. */
  readonly mockBackend: boolean;
  readonly modelsDir: string;
  readonly alias: string | undefined;
  readonly gpu: SettingValues['GPU'];
  readonly gpuLayers: SettingValues['NGL'];
  /**
   * Folder in which NVIDIA's driver keeps kernels that it compiled: what the environment says, or in the data folder;
   * undefined without one: then it is the user's home, which containers lose or do not have.
   */
  readonly kernelCache: string | undefined;
}

/** How the engine runs. */
export interface EngineConfig {
  readonly contextLength: number | undefined;
  readonly slotCount: number | undefined;
  readonly kvTokenCount: number | undefined;
  readonly kvLayout: SettingValues['KV_LAYOUT'];
  /** Whether the engine's own kernels may stand in for llama.cpp's. */
  readonly cpuKernels: boolean;
  /** Whether long prompts may have a context of their own. */
  readonly backgroundPrefill: boolean;
  /** 0 leaves the choice to the engine. */
  readonly threadCount: number;
  /** ggml's busy-wait between graphs, 0 to 100; undefined leaves the choice to the engine. */
  readonly threadPoll: number | undefined;
  /** Processors the compute threads may run on; undefined: any. */
  readonly processors: readonly number[] | undefined;
  readonly batchSize: number;
  readonly ubatchSize: number;
  /** Milliseconds a step may take while somebody decodes. */
  readonly stepTargetMs: number;
  /** Undefined: as the cores allow. */
  readonly streamIntervalMs: number | undefined;
  readonly flashAttention: SettingValues['FLASH_ATTENTION'];
  readonly cacheTypeK: CacheType;
  readonly cacheTypeV: CacheType;
  /** Auto: what the file says. */
  readonly pooling: SettingValues['POOLING'];
  /** Undefined: every token is computed in a step of its own. */
  readonly speculative: SpeculativeConfig | undefined;
  readonly defaultMaxTokens: number;
  /** Jinja text. */
  readonly chatTemplate: string | undefined;
  /** Undefined: as the template does by itself. */
  readonly thinking: boolean | undefined;
  readonly samplingDefaults: SamplingParams;
}

/** How tokens are guessed. */
export interface SpeculativeConfig {
  readonly kind: 'ngram' | 'draft';
  /** Of the draft model; undefined for `ngram`. */
  readonly draftModelPath: string | undefined;
  /** Tokens of a guess. */
  readonly minTokens: number;
  readonly maxTokens: number;
  /** Least probability of a token the draft model guesses, 0 to 1. */
  readonly minProbability: number;
  /** Tokens in a row that are looked up. */
  readonly ngramSize: number;
}

/** llama.cpp's name of a KV cache type. */
export type CacheType = SettingValues['CACHE_TYPE_K'];

export type { ConfigWarning };

/** The key file of the `keys` command, which reads no other setting. */
export function keysFile({
  env = process.env,
  pathExists = existsSync,
}: Pick<ConfigInput, 'env' | 'pathExists'> = {}): string {
  if (env.AUTH_KEYS_FILE) return env.AUTH_KEYS_FILE;
  const dataDir = env.DATA_DIR || chooseDataDirectory(undefined, pathExists, []);
  return join(dataDir, keysFileName);
}

/** The folder of the `usage` command, which reads no other setting. */
export function usageFolder({
  env = process.env,
  pathExists = existsSync,
}: Pick<ConfigInput, 'env' | 'pathExists'> = {}): string {
  const modelName = env.MODEL_NAME || undefined;
  const dataDir = env.DATA_DIR || chooseDataDirectory(modelName, pathExists, []);
  return join(dataDir, usageFolderName);
}

/** Where settings come from; left out: this process and its file system. */
export interface ConfigInput {
  /** Flags, without the program's name and the command. */
  readonly argv?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly readFile?: (path: string) => string;
  readonly pathExists?: (path: string) => boolean;
}

/** Of the key file, in the data folder. */
const keysFileName = 'api_keys.txt';
/** Of usage ledgers, in the data folder. */
const usageFolderName = 'usage';

/** Every problem of the configuration, one line each. */
export class ConfigError extends StartError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(2, problems.join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** API keys of the servers that `bench` measures; a command line is no place for a secret. */
export function benchKeys(env: ConfigInput['env'] = process.env) {
  return { server: env?.BENCH_API_KEY, peer: env?.BENCH_PEER_API_KEY };
}

/**
 * Reads the settings: flags win over the environment, the environment over the `--config` file, that
 * over the defaults; an empty text counts as not set.
 * @throws {ConfigError} with all problems at once
 */
export function loadConfig(input: ConfigInput = {}): {
  readonly config: Config;
  readonly warnings: readonly ConfigWarning[];
} {
  const { argv = [], env = process.env, pathExists = existsSync } = input;
  const readFile = input.readFile ?? ((path: string) => readFileSync(path, 'utf8'));

  // The Python gateway put them behind what it passed on itself, where they won.
  const extra = readExtraArgs(env.EXTRA_ARGS ?? '');
  const sources = [readFlags(argv), extra, readEnvironment(env)];
  const path = sources
    .map((source) => source.texts.get('CONFIG'))
    .find((text) => text !== undefined);
  if (path !== undefined) sources.push(readConfigFile(path, readFile));

  const problems = sources.flatMap((source) => source.problems);
  const warnings = sources.flatMap((source) => source.warnings);
  const given = mergeSources(sources, problems, warnings);
  const values = withDefaults(given);

  const ubatchSize = given.UBATCH_SIZE ?? Math.min(values.UBATCH_SIZE, values.BATCH_SIZE);
  problems.push(...contradictions(values, ubatchSize));
  const chatTemplate = readChatTemplate(values, readFile, problems);
  const dataDir = values.DATA_DIR ?? chooseDataDirectory(values.MODEL_NAME, pathExists, warnings);
  warnings.push(...(values.CORS_ORIGINS ?? []).flatMap(originWarnings));
  if (problems.length > 0) throw new ConfigError(problems);

  const hasData = pathExists(dataDir);
  const kernelCache = env.CUDA_CACHE_PATH ?? (hasData ? join(dataDir, 'cuda-cache') : undefined);
  const logFolder = values.LOG_DIR ?? (hasData ? join(dataDir, 'logs') : undefined);
  const logFiles = logFolder === undefined ? undefined : logFilesIn(logFolder, values, env);
  const ledger =
    values.USAGE_LEDGER && hasData
      ? { folder: join(dataDir, usageFolderName), instance: instanceName(values, env) }
      : undefined;
  return {
    config: deepFreeze(
      assemble(values, { dataDir, kernelCache, chatTemplate, ubatchSize, ledger, logFiles }),
    ),
    warnings,
  };
}

/** Any text is right for these. */
const textSettings = [
  'DATA_DIR',
  'MODELS_DIR',
  'LOG_DIR',
  'LOG_NAME',
  'WORKER_TYPE',
  'INSTANCE_ID',
];

/**
 * Before CUDA is loaded, whose driver looks for the folder in the environment. Where it could not be made the driver keeps
 * to the user's home.
 */
export function placeKernelCache(folder: string): void {
  try {
    accessSync(existsSync(folder) ? folder : dirname(folder), constants.W_OK);
    process.env.CUDA_CACHE_PATH = folder;
  } catch {
    // It is a cache.
  }
}

/** For those who must go on where settings are wrong: then only folders and names are as they were set. */
export function loadConfigOrDefaults(
  argv: readonly string[],
  env: NonNullable<ConfigInput['env']> = process.env,
) {
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

function assemble(
  values: SettingValues,
  derived: {
    readonly dataDir: string;
    readonly kernelCache: string | undefined;
    readonly chatTemplate: string | undefined;
    readonly ubatchSize: number;
    readonly ledger: LedgerPlace | undefined;
    readonly logFiles: LogFilesSettings | undefined;
  },
): Config {
  return {
    server: {
      host: values.HOST,
      port: values.PORT,
      healthPort: values.PORT_HEALTH,
      drainTimeoutMs: Math.round(values.DRAIN_TIMEOUT * 1000),
      limits: {
        bodyBytes: values.MAX_REQUEST_BODY_SIZE,
        headerCount: values.MAX_HEADERS,
        headerLineBytes: values.MAX_HEADER_LINE_SIZE,
        requestLineBytes: values.MAX_REQUEST_LINE_SIZE,
        headerTimeoutMs: Math.ceil(values.CLIENT_HEADER_TIMEOUT * 1000),
        connectionCount: values.MAX_CONNECTIONS,
      },
      tls: tlsFiles(values),
      queue: {
        waitingCount: values.MAX_QUEUE_SIZE,
        waitMs: Math.ceil(values.MAX_QUEUE_WAIT * 1000),
      },
      generationTimeoutMs: Math.ceil(values.REQUEST_TIMEOUT * 1000),
      corsOrigins: values.CORS_ORIGINS ?? [],
      healthReadiness: values.HEALTH_READINESS,
      strictModel: values.STRICT_MODEL,
      trustedProxies: values.TRUSTED_PROXIES ?? [],
    },
    model: {
      path: values.MODEL_PATH,
      name: values.MODEL_NAME,
      mockBackend: values.MOCK_BACKEND,
      modelsDir: values.MODELS_DIR ?? join(derived.dataDir, 'models'),
      alias: values.MODEL_ALIAS,
      gpu: values.GPU,
      gpuLayers: values.NGL,
      kernelCache: derived.kernelCache,
    },
    engine: {
      contextLength: values.CTX,
      slotCount: values.PARALLEL,
      kvTokenCount: values.KV_TOKENS,
      kvLayout: values.KV_LAYOUT,
      threadCount: values.THREADS,
      threadPoll: values.THREAD_POLL,
      processors: values.CPU_AFFINITY,
      batchSize: values.BATCH_SIZE,
      ubatchSize: derived.ubatchSize,
      cpuKernels: values.CPU_KERNELS,
      backgroundPrefill: values.PROMPT_LANE,
      stepTargetMs: values.STEP_TARGET_MS,
      streamIntervalMs: values.STREAM_INTERVAL_MS,
      flashAttention: values.FLASH_ATTENTION,
      cacheTypeK: values.CACHE_TYPE_K,
      cacheTypeV: values.CACHE_TYPE_V,
      pooling: values.POOLING,
      speculative: speculative(values),
      defaultMaxTokens: values.MAX_TOKENS,
      chatTemplate: derived.chatTemplate,
      thinking: values.REASONING === 'auto' ? undefined : values.REASONING === 'on',
      samplingDefaults: withoutUndefined({
        temperature: values.TEMPERATURE,
        topP: values.TOP_P,
        topK: values.TOP_K,
        minP: values.MIN_P,
        typicalP: values.TYPICAL_P,
        repeatPenalty: values.REPEAT_PENALTY,
        repeatLastN: values.REPEAT_LAST_N,
        frequencyPenalty: values.FREQUENCY_PENALTY,
        presencePenalty: values.PRESENCE_PENALTY,
        seed: values.SEED,
      }),
    },
    auth: {
      enabled: values.AUTH_ENABLED,
      keysFile: values.AUTH_KEYS_FILE ?? join(derived.dataDir, keysFileName),
      adminKeyIds: values.ADMIN_KEY_IDS ?? [],
      protectedMetrics: values.METRICS_AUTH_ENABLED,
      failuresPerMinute: values.AUTH_FAILURES_PER_MINUTE,
      sharedCache: values.CACHE_SHARING,
      defaultLimits: withoutUndefined<KeyLimits>({
        requestsPerMinute: values.MAX_REQUESTS_PER_MINUTE,
        tokensPerMinute: values.MAX_TOKENS_PER_MINUTE || undefined,
        tokensPerDay: values.MAX_TOKENS_PER_DAY || undefined,
        concurrentRequests: values.MAX_CONCURRENT_PER_KEY || undefined,
      }),
      redisUrl: values.REDIS_URL,
    },
    debugShell: values.DEBUG_SHELL,
    supervision: {
      enabled: values.SUPERVISE,
      watchdogTimeoutMs: Math.round(values.WATCHDOG_TIMEOUT * 1000),
      restartLimit: values.RESTART_LIMIT,
    },
    tracesEndpoint: values.OTEL_EXPORTER_OTLP_ENDPOINT,
    ledger: derived.ledger,
    log: {
      level: values.LOG_LEVEL,
      format: values.LOG_FORMAT,
      access: values.ACCESS_LOG,
      files: derived.logFiles,
    },
  };
}

function speculative(values: SettingValues): SpeculativeConfig | undefined {
  if (values.SPECULATIVE === 'off') return undefined;
  return {
    kind: values.SPECULATIVE,
    draftModelPath: values.DRAFT_MODEL_PATH,
    minTokens: values.DRAFT_MIN,
    maxTokens: values.DRAFT_MAX,
    minProbability: values.DRAFT_P_MIN,
    ngramSize: values.NGRAM_SIZE,
  };
}

/** The first text of each setting, parsed; in one source the row's own name wins over its alias. */
function mergeSources(
  sources: readonly ConfigSource[],
  problems: string[],
  warnings: ConfigWarning[],
): Partial<SettingValues> {
  const values: Partial<Record<SettingName, unknown>> = {};
  for (const name of settingNames) {
    const { kind, alias, secret } = settingOf(name);
    const candidates = sources.flatMap(({ label, texts }) =>
      [name, alias].flatMap((key) => {
        const text = key === undefined ? undefined : texts.get(key);
        return key === undefined || text === undefined ? [] : [{ key, text, label }];
      }),
    );
    const [chosen] = candidates;
    if (chosen === undefined) continue;
    const other = candidates.find(({ key, text }) => key !== chosen.key && text !== chosen.text);
    if (other !== undefined) {
      const message = `${chosen.key}=${quote(chosen.text)} is used, ${other.key}=${quote(other.text)} is ignored`;
      warnings.push({ level: 'warn', message });
    }
    const value = kind.parse(chosen.text);
    if (value === undefined) {
      problems.push(
        `${chosen.key} (--${flagName(chosen.key)}) must be ${kind.expectation}, ` +
          `received ${secret ? 'something else' : quote(chosen.text)} from ${chosen.label}`,
      );
    } else {
      values[name] = value;
    }
  }
  // Each value came from its own row's kind, which is what SettingValues is derived from.
  return values as Partial<SettingValues>;
}

function withDefaults(given: Partial<SettingValues>): SettingValues {
  const fallbacks = Object.fromEntries(
    settingNames.map((name) => [name, settingOf(name).fallback]),
  );
  return { ...fallbacks, ...given } as SettingValues;
}

function originWarnings(origin: string): ConfigWarning[] {
  if (origin === '*' || /^https?:\/\//.test(origin)) return [];
  const message = `CORS_ORIGINS has ${quote(origin)}, which no browser sends: an origin begins with http:// or https://`;
  return [{ level: 'warn', message }];
}

function tlsFiles({ TLS_CERT, TLS_KEY }: SettingValues): TlsFiles | undefined {
  if (TLS_CERT === undefined || TLS_KEY === undefined) return undefined;
  return { certPath: TLS_CERT, keyPath: TLS_KEY };
}

function contradictions(values: SettingValues, ubatchSize: number): string[] {
  const problems: string[] = [];
  if (ubatchSize > values.BATCH_SIZE) {
    problems.push(
      `UBATCH_SIZE must be at most BATCH_SIZE (${values.BATCH_SIZE}), received ${ubatchSize}`,
    );
  }
  const isQuantised = !['f32', 'f16', 'bf16'].includes(values.CACHE_TYPE_V);
  if (isQuantised && values.FLASH_ATTENTION === 'off') {
    problems.push(
      `CACHE_TYPE_V must be f32, f16 or bf16 with FLASH_ATTENTION=off, received "${values.CACHE_TYPE_V}"`,
    );
  }
  if (values.DRAFT_MIN > values.DRAFT_MAX) {
    problems.push(
      `DRAFT_MIN must be at most DRAFT_MAX (${values.DRAFT_MAX}), received ${values.DRAFT_MIN}`,
    );
  }
  if ((values.SPECULATIVE === 'draft') !== (values.DRAFT_MODEL_PATH !== undefined)) {
    problems.push(
      values.SPECULATIVE === 'draft'
        ? 'SPECULATIVE=draft needs DRAFT_MODEL_PATH, the GGUF file of the draft model'
        : `DRAFT_MODEL_PATH is for SPECULATIVE=draft only, which is "${values.SPECULATIVE}": set or unset both`,
    );
  }
  if ((values.TLS_CERT === undefined) !== (values.TLS_KEY === undefined)) {
    problems.push('TLS_CERT and TLS_KEY must be set together');
  }
  if (values.PORT !== 0 && values.PORT === values.PORT_HEALTH) {
    problems.push(`PORT_HEALTH must differ from PORT, both are ${values.PORT}`);
  }
  if (values.CHAT_TEMPLATE !== undefined && values.CHAT_TEMPLATE_FILE !== undefined) {
    problems.push('CHAT_TEMPLATE and CHAT_TEMPLATE_FILE must not both be set');
  }
  for (const name of ['MODEL_PATH', 'MODEL_NAME'] as const) {
    if (!values.MOCK_BACKEND || values[name] === undefined) continue;
    problems.push(
      `${name} must not be set beside MOCK_BACKEND, which serves the bundled model: unset one of them`,
    );
  }
  return problems;
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

function withoutUndefined<T extends object>(
  value: {
    readonly [Key in keyof T]: T[Key] | undefined;
  },
): Partial<T> {
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  return Object.fromEntries(entries) as Partial<T>;
}

function deepFreeze<T extends object>(value: T): T {
  for (const entry of Object.values(value)) {
    if (typeof entry === 'object' && entry !== null) deepFreeze(entry);
  }
  return Object.freeze(value);
}
