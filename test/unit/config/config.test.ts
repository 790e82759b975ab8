import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { describe, expect, it } from 'vitest';
import { keysFile } from '../../../src/config/command-defaults.ts';
import { withSettingTables } from '../../../src/config/help.ts';
import { ConfigError, type ConfigInput, loadConfig } from '../../../src/config/load-config.ts';
import { settingNames } from '../../../src/config/table.ts';

/** Nothing of this machine: no environment, no files, no folders. */
function load(input: ConfigInput = {}) {
  return loadConfig({
    env: {},
    pathExists: () => false,
    readFile: (path) => {
      throw Object.assign(new Error(path), { code: 'ENOENT' });
    },
    ...input,
  });
}

function problemsOf(input: ConfigInput): readonly string[] {
  try {
    load(input);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('loadConfig', () => {
  it('drafts no tokens by default', () => {
    expect(load().config.engine.speculative).toBeUndefined();
    const argv = ['--speculative', 'draft', '--draft-model-path', 'small.gguf', '--draft-max', '4'];
    expect(load({ argv }).config.engine.speculative).toEqual({
      kind: 'draft',
      draftModelPath: 'small.gguf',
      minTokens: 1,
      maxTokens: 4,
      minProbability: 0.75,
      ngramSize: 4,
    });
  });

  it.each<[Record<string, string>, RegExp]>([
    [{ SPECULATIVE: 'yes' }, /^SPECULATIVE .*one of off, ngram, draft, received "yes"/],
    [{ SPECULATIVE: 'draft' }, /^SPECULATIVE=draft needs DRAFT_MODEL_PATH/],
    [{ DRAFT_MODEL_PATH: 'x' }, /^DRAFT_MODEL_PATH is for SPECULATIVE=draft only, which is "off"/],
    [{ SPECULATIVE: 'ngram', DRAFT_MODEL_PATH: 'x' }, /which is "ngram"/],
    [{ DRAFT_MIN: '9' }, /^DRAFT_MIN must be at most DRAFT_MAX \(8\), received 9/],
    [{ DRAFT_MAX: '0' }, /^DRAFT_MAX .*from 1 to 64, received "0"/],
    [{ DRAFT_P_MIN: '1.5' }, /^DRAFT_P_MIN .*from 0 to 1/],
    [{ NGRAM_SIZE: '1' }, /^NGRAM_SIZE .*from 2 to 64/],
  ])('refuses %j', (env, problem) => {
    expect(problemsOf({ env })).toEqual([expect.stringMatching(problem)]);
  });

  it('has defaults for everything, and names no model', () => {
    const { config, warnings } = load();
    expect(warnings).toEqual([]);
    expect(config).toMatchObject({
      server: {
        host: '127.0.0.1',
        port: 8000,
        healthPort: 8001,
        drainTimeoutMs: 30_000,
        limits: {
          bodyBytes: 10_485_760,
          headerCount: 64,
          headerLineBytes: 8192,
          requestLineBytes: 8192,
          headerTimeoutMs: 30_000,
          connectionCount: 4096,
        },
        generationTimeoutMs: 300_000,
        corsOrigins: [],
        healthReadiness: false,
        strictModel: false,
      },
      model: {
        path: undefined,
        name: undefined,
        mockBackend: false,
        modelsDir: '/data/models',
        gpu: 'auto',
        gpuLayers: 'auto',
      },
      engine: { threadCount: 0, batchSize: 2048, ubatchSize: 512, defaultMaxTokens: 4096 },
      auth: {
        enabled: true,
        keysFile: '/data/api_keys.txt',
        adminKeyIds: [],
        protectedMetrics: false,
        failuresPerMinute: 30,
        sharedCache: false,
        defaultLimits: { requestsPerMinute: 100 },
        redisUrl: undefined,
      },
      log: { level: 'info', format: 'text' },
    });
  });

  it('leaves settings without a value undefined', () => {
    const { engine, model } = load({ env: { MODEL_PATH: 'x.gguf' } }).config;
    expect(engine).toMatchObject({
      contextLength: undefined,
      slotCount: undefined,
      kvTokenCount: undefined,
      chatTemplate: undefined,
    });
    expect(engine.samplingDefaults).toEqual({});
    expect(model).toMatchObject({ path: 'x.gguf', name: undefined, alias: undefined });
  });

  it('prefers flags to the environment, the environment to the file, the file to defaults', () => {
    const readFile = () =>
      JSON.stringify({ PORT: 1, ctx: 2, 'max-tokens': 3, 'strict-model': true });
    const env = { CONFIG: 'c.json', PORT: '11', CTX: '12' };
    const { config } = load({ argv: ['--port', '21'], env, readFile });
    expect(config.server).toMatchObject({ port: 21, strictModel: true });
    expect(config.engine).toMatchObject({ contextLength: 12, defaultMaxTokens: 3 });
  });

  it.each<[Record<string, string>, string[], string]>([
    [{}, [], '127.0.0.1'],
    [{ API_KEYS: 'sk-Q7yTn0x5oPz2mVb8KdLcRw' }, [], '0.0.0.0'],
    [{ AUTH_KEYS_FILE: '/keys.txt' }, ['/keys.txt'], '0.0.0.0'],
    // Keys that nobody is asked for protect nothing.
    [{ AUTH_ENABLED: 'false', API_KEYS: 'sk-Q7yTn0x5oPz2mVb8KdLcRw' }, [], '127.0.0.1'],
    [{}, ['/.dockerenv'], '0.0.0.0'],
    [{ KUBERNETES_SERVICE_HOST: '10.0.0.1' }, [], '0.0.0.0'],
    [{ HOST: '::1' }, ['/.dockerenv'], '::1'],
  ])('listens with %j and %j on %s', (env, paths, host) => {
    const { config } = load({ env, pathExists: (path) => paths.includes(path) });
    expect(config.server.host).toBe(host);
  });

  it.each<[Record<string, string>, string[], string]>([
    [{ HOME: '/home/me' }, [], '/home/me/.local/share/llama-gguf-inference/models'],
    [{ HOME: '/home/me', XDG_DATA_HOME: '/x' }, [], '/x/llama-gguf-inference/models'],
    [{ HOME: '/home/me' }, ['/.dockerenv'], '/data/models'],
    // Empty folders of those names belong to somebody else.
    [{ HOME: '/home/me' }, ['/data'], '/home/me/.local/share/llama-gguf-inference/models'],
    [{}, [], '/data/models'],
  ])('keeps its data with %j and %j below %s', (env, paths, modelsDir) => {
    const { config } = load({ env, pathExists: (path) => paths.includes(path) });
    expect(config.model.modelsDir).toBe(modelsDir);
  });

  it.each<[string[], Record<string, string>, object]>([
    [['hf:a/b'], { MODEL_NAME: 'x' }, { reference: 'hf:a/b', name: undefined }],
    [['--model-path', 'x'], { MODEL: 'hf:a/b' }, { reference: undefined, path: 'x' }],
    [['-m', 'x', '-c', '0', '-n', '-1'], {}, { path: 'x' }],
    [['-hf', 'a/b', '-hff', 'c.gguf', '--offline'], {}, { reference: 'hf:a/b:c.gguf' }],
    [['model', '-c', '512'], {}, { reference: 'model' }],
  ])('finds the model in %j and %j', (argv, env, expected) => {
    const { config } = load({ argv, env });
    expect(config.model).toMatchObject(expected);
  });

  it.each<[string[], Record<string, string>, RegExp]>([
    [['a', '--model', 'b'], {}, /the model is named twice: "a" and "b"/],
    [[], { MODEL: 'a', MODEL_PATH: 'b' }, /MODEL_PATH must not be set beside MODEL/],
    [['a', 'b'], {}, /unexpected argument "b"/],
  ])('refuses the models %j and %j', (argv, env, problem) => {
    expect(problemsOf({ argv, env })).toEqual([expect.stringMatching(problem)]);
  });

  it('freezes the whole object', () => {
    const { config } = load({ env: { SEED: '5' } });
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.engine.samplingDefaults)).toBe(true);
  });

  it('takes an empty text as not set, wherever it comes from', () => {
    const readFile = () => JSON.stringify({ CTX: '', HOST: null });
    const { config } = load({
      argv: ['--port', '', '--config', 'c'],
      env: { PORT: '', MODEL_NAME: '' },
      readFile,
    });
    expect(config.server).toMatchObject({ port: 8000, host: '127.0.0.1' });
    expect(config.model.name).toBeUndefined();
  });

  it.each([
    ['true', true],
    ['1', true],
    ['Yes', true],
    [' on ', true],
    ['FALSE', false],
    ['0', false],
    ['no', false],
    ['off', false],
  ])('reads AUTH_ENABLED=%s as %s', (text, enabled) => {
    expect(load({ env: { AUTH_ENABLED: text } }).config.auth.enabled).toBe(enabled);
  });

  it.each([
    ['--strict-model', true],
    ['--strict-model=yes', true],
    ['--no-strict-model', false],
    ['--strict-model=off', false],
  ])('reads the switch %s as %s', (flag, strictModel) => {
    expect(load({ argv: [flag] }).config.server.strictModel).toBe(strictModel);
  });

  it.each([
    [{ MOCK_BACKEND: 'on' }, { model: { mockBackend: true } }],
    [{ MOCK_BACKEND: '0', MODEL_PATH: 'm' }, { model: { mockBackend: false, path: 'm' } }],
    [{ MOCK_BACKEND: 'true', MODEL_PATH: '' }, { model: { mockBackend: true, path: undefined } }],
    [{ CUDA_CACHE_PATH: '/cache' }, { model: { kernelCache: '/cache' } }],
    [{ NGL: '99' }, { model: { gpuLayers: 'max' } }],
    [{ NGL: 'MAX' }, { model: { gpuLayers: 'max' } }],
    [{ NGL: '0' }, { model: { gpuLayers: 0 } }],
    [{ DRAIN_TIMEOUT: '0.25' }, { server: { drainTimeoutMs: 250 } }],
    [{ LOG_FORMAT: 'JSON' }, { log: { format: 'json' } }],
    [
      { MAX_REQUESTS_PER_MINUTE: '5', MAX_TOKENS_PER_DAY: '9', MAX_TOKENS_PER_MINUTE: '0' },
      { auth: { defaultLimits: { requestsPerMinute: 5, tokensPerDay: 9 } } },
    ],
    [{ REQUEST_TIMEOUT: '0.5' }, { server: { generationTimeoutMs: 500 } }],
    [
      { CORS_ORIGINS: ' https://a.b/ ,http://c:1' },
      { server: { corsOrigins: ['https://a.b', 'http://c:1'] } },
    ],
    [
      { CORS_ORIGINS: 'HTTPS://App.Example.com:443/,http://[::1]:80,file://,file:///,null' },
      {
        server: {
          corsOrigins: ['https://app.example.com', 'http://[::1]', 'file://', 'file://', 'null'],
        },
      },
    ],
    [{ REDIS_URL: 'rediss://u:p@h:1/2' }, { auth: { redisUrl: 'rediss://u:p@h:1/2' } }],
    [{ DATA_DIR: '/x', AUTH_KEYS_FILE: '' }, { auth: { keysFile: '/x/api_keys.txt' } }],
    [{ AUTH_KEYS_FILE: '/k', ADMIN_KEY_IDS: 'a, b_2' }, { auth: { adminKeyIds: ['a', 'b_2'] } }],
    [
      { TRUSTED_PROXIES: '10.0.0.0/8,fd00::/8, 127.0.0.1' },
      { server: { trustedProxies: ['10.0.0.0/8', 'fd00::/8', '127.0.0.1'] } },
    ],
    [{ BATCH_SIZE: '64' }, { engine: { batchSize: 64, ubatchSize: 64 } }],
    [{ CPU_AFFINITY: '8, 0-2' }, { engine: { processors: [0, 1, 2, 8] } }],
    [{ THREAD_POLL: '50' }, { engine: { threadPoll: 50 } }],
    [{ STREAM_INTERVAL_MS: '0' }, { engine: { streamIntervalMs: 0 } }],
    [{}, { engine: { backgroundPrefill: undefined } }],
    [{ CPU_KERNELS: 'off' }, { engine: { cpuKernels: false } }],
    [{ BACKGROUND_PREFILL: 'off' }, { engine: { backgroundPrefill: false } }],
    [{ PROMPT_LANE: 'off' }, { engine: { backgroundPrefill: false } }],
    [{ DATA_DIR: '/x' }, { model: { modelsDir: '/x/models' } }],
    [{ DATA_DIR: '/x', MODELS_DIR: '/y' }, { model: { modelsDir: '/y' } }],
    [
      { TEMPERATURE: '0', SEED: '18446744073709551615', TOP_P: '.5' },
      { engine: { samplingDefaults: { temperature: 0, seed: 2n ** 64n - 1n, topP: 0.5 } } },
    ],
  ])('reads %j', (env, expected) => {
    expect(load({ env }).config).toMatchObject(expected);
  });

  it.each([
    [{ PORT: '65536' }, 'PORT (--port) must be a whole number from 0 to 65535, received "65536"'],
    [{ PORT: '8000.5' }, 'PORT (--port) must be a whole number'],
    [{ PARALLEL: '0' }, 'PARALLEL (--parallel) must be a whole number from 1 to 256'],
    [{ MAX_CONCURRENT_REQUESTS: '300' }, 'MAX_CONCURRENT_REQUESTS (--max-concurrent-requests)'],
    [{ AUTH_ENABLED: 'ture' }, 'AUTH_ENABLED (--auth-enabled) must be true, 1, yes, on or false'],
    [{ NGL: '-1' }, 'NGL (--ngl) must be auto, max or a whole number from 0'],
    [{ TOP_P: '0' }, 'TOP_P (--top-p) must be a number above 0 and up to 1'],
    [{ TEMPERATURE: '2.1' }, 'TEMPERATURE (--temperature) must be a number from 0 to 2'],
    [{ TEMPERATURE: 'NaN' }, 'TEMPERATURE (--temperature) must be a number from 0 to 2'],
    [{ SEED: '18446744073709551616' }, 'SEED (--seed) must be a whole number of at most 64 bits'],
    [{ GPU: 'cpu' }, 'GPU (--gpu) must be one of auto, cuda, vulkan, metal, off, received "cpu"'],
    [{ CACHE_TYPE_K: 'q3_k' }, 'CACHE_TYPE_K (--cache-type-k) must be one of f32'],
    [{ MAX_REQUESTS_PER_MINUTE: '0' }, 'MAX_REQUESTS_PER_MINUTE (--max-requests-per-minute) must'],
    [{ CLIENT_HEADER_TIMEOUT: '0' }, 'CLIENT_HEADER_TIMEOUT (--client-header-timeout) must be'],
    [{ CORS_ORIGINS: 'https://a b' }, 'CORS_ORIGINS (--cors-origins) must be origins, with commas'],
    [{ ADMIN_KEY_IDS: 'a,,b' }, 'ADMIN_KEY_IDS (--admin-key-ids) must be key ids, with commas'],
    [
      { TRUSTED_PROXIES: '10.0.0.0/33' },
      'TRUSTED_PROXIES (--trusted-proxies) must be IP addresses',
    ],
    [
      { TRUSTED_PROXIES: 'proxy.local' },
      'TRUSTED_PROXIES (--trusted-proxies) must be IP addresses',
    ],
    [{ LOG_FORMAT: 'xml' }, 'LOG_FORMAT (--log-format) must be one of text, json'],
    [{ CPU_AFFINITY: '3-1' }, 'CPU_AFFINITY (--cpu-affinity) must be numbers from 0 to 511'],
    [{ CPU_AFFINITY: '0,' }, 'and ranges of them, like 0-3,8, received "0,"'],
    [{ CPU_AFFINITY: '512' }, 'CPU_AFFINITY (--cpu-affinity) must be numbers from 0 to 511'],
    [{ THREAD_POLL: '101' }, 'THREAD_POLL (--thread-poll) must be a whole number from 0 to 100'],
    [{ UBATCH_SIZE: '4096' }, 'UBATCH_SIZE must be at most BATCH_SIZE (2048), received 4096'],
    [
      { CACHE_TYPE_V: 'q8_0', FLASH_ATTENTION: 'off' },
      'CACHE_TYPE_V must be f32, f16 or bf16 with FLASH_ATTENTION=off, received "q8_0"',
    ],
    [{ PORT: '8001' }, 'PORT_HEALTH must differ from PORT, both are 8001'],
    [
      { CHAT_TEMPLATE: 'a', CHAT_TEMPLATE_FILE: 'b' },
      'CHAT_TEMPLATE and CHAT_TEMPLATE_FILE must not both be set',
    ],
    [
      { MOCK_BACKEND: '1', MODEL_PATH: 'm.gguf' },
      'MODEL_PATH must not be set beside MOCK_BACKEND, which serves the bundled model',
    ],
    [
      { MOCK_BACKEND: 'yes', MODEL_NAME: 'm.gguf' },
      'MODEL_NAME must not be set beside MOCK_BACKEND, which serves the bundled model',
    ],
    [{ MOCK_BACKEND: 'maybe' }, 'MOCK_BACKEND (--mock-backend) must be true, 1, yes, on or false'],
    [{ CHAT_TEMPLATE_FILE: 'no' }, 'received "no": there is no such file'],
    [{ CONFIG: 'no.json' }, 'CONFIG must name a readable JSON file, received "no.json"'],
  ])('refuses %j', (env, problem) => {
    expect(problemsOf({ env }).join('\n')).toContain(problem);
  });

  it.each([
    [['--modelpath', 'x'], ['unknown flag --modelpath, did you mean --model-path?']],
    [['--api-key', 'secret'], ["--api-key is llama-server's, use AUTH_KEYS_FILE"]],
    [['--no-port'], ['unknown flag --no-port']],
    [['-p', '3'], ['unknown flag -p']],
    [['--port'], ['--port needs a value']],
    [['--model-path', '--port', '3'], ['--model-path needs a value']],
    [['--no-strict-model=1'], ['--no-strict-model takes no value']],
    [['--strict-model', 'false'], ['unexpected argument "false"']],
  ])('refuses the flags %j', (argv, expected) => {
    expect(problemsOf({ argv })).toEqual(expected.map((text) => expect.stringContaining(text)));
  });

  it.each([
    ['{', 'it is not valid JSON'],
    ['[]', 'holds something else'],
    ['{"CTXX": 1}', 'unknown setting "CTXX" in c.json, did you mean CTX?'],
    ['{"CTX": [1]}', 'CTX must be a text, a number or a boolean in c.json'],
    [
      '{"CTX": 1.5}',
      'CTX (--ctx) must be a whole number from 1 to 2147483647, received "1.5" from c.json',
    ],
  ])('refuses the file %s', (content, problem) => {
    const problems = problemsOf({ argv: ['--config', 'c.json'], readFile: () => content });
    expect(problems).toEqual([expect.stringContaining(problem)]);
  });

  it('reports every problem at once and exits with 2', () => {
    expect.assertions(2);
    try {
      load({ env: { PORT: 'x', CTX: 'y' }, argv: ['--foo'] });
    } catch (error) {
      expect(error).toMatchObject({ exitCode: 2, name: 'ConfigError' });
      expect((error as ConfigError).problems).toHaveLength(3);
    }
  });

  it('never repeats the value of an unknown flag', () => {
    expect(problemsOf({ argv: ['--backend-api-key', 'sk-secret'] }).join()).not.toContain('secret');
    const { warnings } = load({ env: { BACKEND_API_KEY: 'sk-secret' } });
    expect(warnings).toEqual([{ level: 'warn', message: expect.stringContaining('is ignored') }]);
    expect(JSON.stringify(warnings)).not.toContain('secret');
  });

  it('never shows an invalid secret', () => {
    const [problem] = problemsOf({ env: { REDIS_URL: 'http://:password@host' } });
    expect(problem).toContain('REDIS_URL (--redis-url) must be a URL with redis: or rediss:');
    expect(problem).not.toContain('password');
  });

  it('reads the chat template from its file', () => {
    const input = { env: { CHAT_TEMPLATE_FILE: 't.jinja' }, readFile: () => '{{ messages }}' };
    expect(load(input).config.engine.chatTemplate).toBe('{{ messages }}');
  });

  it.each([
    [{ PORT: '9000', GATEWAY_PORT: '9001' }, 9000, 'GATEWAY_PORT="9001" is ignored'],
    [{ GATEWAY_PORT: '9001' }, 9001, undefined],
  ])('takes GATEWAY_PORT for PORT: %j', (env, port, warning) => {
    const { config, warnings } = load({ env });
    expect(config.server.port).toBe(port);
    expect(warnings.map(({ message }) => message)).toEqual(
      warning === undefined ? [] : [expect.stringContaining(warning)],
    );
  });

  it.each([
    [['--no-background-prefill'], false],
    [['--no-prompt-lane'], false],
    [['--prompt-lane'], true],
    [['--prompt-lane=off'], false],
    [['--background-prefill', '--no-prompt-lane'], true],
  ])('takes the flags of the alias PROMPT_LANE for BACKGROUND_PREFILL: %j', (argv, expected) => {
    expect(load({ argv }).config.engine.backgroundPrefill).toBe(expected);
  });

  it('finds the key file of the `keys` command as the server does', () => {
    const pathExists = (path: string) => path === '/workspace/api_keys.txt';
    expect(keysFile({ env: { AUTH_KEYS_FILE: '/k', DATA_DIR: '/x' }, pathExists })).toBe('/k');
    expect(keysFile({ env: { DATA_DIR: '/x' }, pathExists })).toBe('/x/api_keys.txt');
    expect(keysFile({ env: {}, pathExists })).toBe('/workspace/api_keys.txt');
  });

  it.each([
    [{ PARALLEL: '2', MAX_CONCURRENT_REQUESTS: '3' }, 2, 'MAX_CONCURRENT_REQUESTS="3" is ignored'],
    [{ MAX_CONCURRENT_REQUESTS: '3' }, 3, undefined],
    [{ PARALLEL: '3', MAX_CONCURRENT_REQUESTS: '3' }, 3, undefined],
  ])('takes MAX_CONCURRENT_REQUESTS for PARALLEL: %j', (env, slotCount, warning) => {
    const { config, warnings } = load({ env });
    expect(config.engine.slotCount).toBe(slotCount);
    expect(warnings.map(({ message }) => message)).toEqual(
      warning === undefined ? [] : [expect.stringContaining(warning)],
    );
  });

  it.each([
    ['GPU_LAYERS', 'use NGL'],
    ['CONTEXT_SIZE', 'use CTX'],
    ['RATE_LIMIT', 'use MAX_REQUESTS_PER_MINUTE'],
    ['PORT_BACKEND', 'is ignored'],
    ['BACKEND_PORT', 'is ignored'],
    ['HEALTH_TIMEOUT', 'has no effect: health is answered from memory'],
    ['CORS_ORIGINS', 'CORS_ORIGINS has "1", which no browser sends'],
    ['MODEL_PAHT', 'did you mean MODEL_PATH?'],
    ['UBATCHSIZE', 'did you mean UBATCH_SIZE?'],
  ])('warns about %s', (name, text) => {
    const { warnings } = load({ env: { [name]: '1' } });
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringContaining(text)]);
  });

  it.each([
    ...['chrome-extension://abcdef', 'moz-extension://*', 'app://obsidian.md', 'tauri://localhost'],
    ...['vscode-webview://1a2b', 'capacitor://localhost', 'ionic://localhost', 'file://', 'null'],
    ...['*', 'http://localhost:*', 'https://*.example.com', 'http://[::1]:3000', '*://localhost'],
  ])('does not warn about the origin %s', (origin) => {
    expect(load({ env: { CORS_ORIGINS: origin } }).warnings).toEqual([]);
  });

  it.each([
    'example.com',
    'localhost:3000',
    'https://a.b/path',
    'https://u@a.b',
    '//a.b',
    'https:a',
  ])('warns about %s, which is no origin', (origin) => {
    const { warnings } = load({ env: { CORS_ORIGINS: origin } });
    expect(warnings.map(({ message }) => message)).toEqual([
      expect.stringMatching(/which no browser sends: an origin is a scheme, a host and/),
    ]);
  });

  it('does not warn about variables of other programs', () => {
    const env = { PATH: '/bin', HOSTNAME: 'h', PORTS: '1', XDG_DATA_DIRS: 'x', MODE: 'y' };
    expect(load({ env }).warnings).toEqual([]);
  });

  it.each([
    [['/workspace/models'], '/workspace/models', 'it holds models'],
    [['/data', '/workspace/models'], '/workspace/models', 'it holds models'],
    [['/runpod-volume/api_keys.txt', '/data'], '/runpod-volume/models', 'it holds api_keys.txt'],
    [['/workspace/models/m.gguf', '/workspace/models'], '/workspace/models', 'models/m.gguf'],
    [
      ['/data', '/data/models', '/runpod-volume/models', '/runpod-volume/models/m.gguf'],
      '/runpod-volume/models',
      'models/m.gguf',
    ],
    [['/data/models', '/workspace/api_keys.txt'], '/workspace/models', 'it holds api_keys.txt'],
    [['/data', '/workspace'], '/workspace/models', 'it exists'],
    [['/data', '/workspace', '/workspace/cache'], '/workspace/models', 'it holds cache'],
  ])('chooses the data folder among %j', (paths, modelsDir, reason) => {
    const { config, warnings } = load({
      env: { MODEL_NAME: 'm.gguf', container: 'oci' },
      pathExists: (path) => paths.includes(path),
    });
    expect(config.model.modelsDir).toBe(modelsDir);
    expect(warnings).toEqual([{ level: 'info', message: expect.stringContaining(reason) }]);
  });
});

describe('log files', () => {
  it('are kept where there is a data folder, or where they are asked for', () => {
    const { files } = load({ env: { DATA_DIR: '/data' }, pathExists: () => true }).config.log;
    expect(files).toEqual({
      folder: '/data/logs',
      name: 'llama',
      instance: hostname().replace(/[^A-Za-z0-9_.-]/g, '_'),
      maxBytes: 52_428_800,
      maxFiles: 5,
    });
    expect(load().config.log.files).toBeUndefined();
    expect(load({ env: { LOG_DIR: '/logs' } }).config.log.files?.folder).toBe('/logs');
  });

  it.each([
    [{ LOG_NAME: 'chat', HOSTNAME: 'pod-1' }, 'chat', 'pod-1'],
    [{ LOG_NAME: 'chat', WORKER_TYPE: 'gpu', INSTANCE_ID: 'a.b' }, 'llama-gpu', 'a.b'],
    [{ LOG_NAME: '..', INSTANCE_ID: '../../etc/passwd' }, '__', '.._.._etc_passwd'],
    [{ WORKER_TYPE: '/../x', INSTANCE_ID: 'a\nb' }, 'llama-_.._x', 'a_b'],
  ])('with %j have names that lead nowhere else', (env, name, instance) => {
    expect(load({ env: { LOG_DIR: '/logs', ...env } }).config.log.files).toMatchObject({
      name,
      instance,
    });
  });
});

describe('docs/configuration.md', () => {
  const text = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');

  it('has the tables of the settings as they are: npm run docs:configuration writes them', () => {
    expect(withSettingTables(text)).toBe(text);
  });

  it('documents nothing else', () => {
    const documented = [...text.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name);
    expect(documented).toEqual(settingNames);
  });
});
