/**
 * The borders between the rooms of src/. `npm run check` and CI fail on a wrong import, type imports included.
 *
 * A room imports only from the rooms below it. A room with doors is imported only through these files.
 */

/** From the bottom to the top. */
const rooms = [
  'core',
  'log',
  'terminal',
  'grammar',
  'engine',
  'admission',
  'access',
  'config',
  'model',
  'hub',
  'observe',
  'api',
  'http',
  'server',
  'diagnostics',
  'bench',
  'cli',
];

/** Pairs of rooms without imports, although the first stands above the second, or beside it. */
const strangers = [
  ['http', 'api', 'api and http meet in server/gateway.ts, through hooks and decorators.'],
  ['bench', 'api', 'The benchmark is a client: it knows a server by its HTTP API only.'],
  ['bench', 'http', 'The benchmark is a client: it knows a server by its HTTP API only.'],
  ['bench', 'engine', 'The benchmark is a client: it knows a server by its HTTP API only.'],
  ['bench', 'model', 'The benchmark is a client: it knows a server by its HTTP API only.'],
  ['bench', 'server', 'The benchmark is a client: it knows a server by its HTTP API only.'],
];

/** The files of a room that other rooms may import. A room that is not listed is open. */
const doors = {
  log: ['log', 'log-output', 'log-settings'],
  grammar: ['gbnf', 'lark', 'problem', 'schema', 'text-grammar'],
  engine: [
    'addon',
    'chat',
    'embedder',
    'engine',
    'engine-options',
    'engine-statistics',
    'engine-stats',
    'generator',
    'load-addon',
    'logprobs',
    'native-embedder',
    'native-engine',
    'sampling-params',
    'token-rules',
    'tokenizer',
  ],
  config: [
    'command-defaults',
    'config',
    'config-warning',
    'help',
    'home',
    'kernel-cache',
    'load-config',
    'model-places',
    'settings-report',
    'table',
  ],
  model: ['backend', 'gguf-header', 'load', 'machine', 'registry', 'source', 'split'],
  hub: ['download', 'local-models', 'locate-model', 'located-model'],
  observe: [
    'access-log',
    'engine-watch',
    'metrics/gateway-counts',
    'metrics/metrics',
    'trace/request-trace',
    'trace/tracing',
  ],
  server: ['server', 'supervisor/link', 'supervisor/supervisor'],
  diagnostics: ['debug-shell', 'diagnostics'],
  bench: ['bench'],
  cli: ['command', 'keys-command', 'models-command', 'usage-command'],
};

/** A door that one room alone may use. */
const privateDoors = [
  [
    'engine/(native-engine|load-addon)',
    'server',
    'The composition root names the native engine; other rooms take any engine.',
  ],
];

/** The parts of a room, from the bottom to the top. Parts in one string do not import each other. */
const parts = {
  access: ['keys', 'usage', 'limits'],
  observe: ['trace', 'metrics'],
  api: ['fields', 'generation', 'chat', 'text|vectors|info|messages|responses'],
};

/** The rooms that may import a package. */
const packages = [
  [
    'fastify|@fastify/.+',
    'api|http|server',
    'Everything below api would survive a change of HTTP framework.',
  ],
  [
    'node-llama-cpp',
    'engine|model',
    'Only engine and model depend on the library that loads weights.',
  ],
  ['@huggingface/hub', 'hub', 'One room knows how the hub answers.'],
];

const inRoom = (name) => `^src/(${name})/`;

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'folder-cycle',
      comment: 'Two folders that import each other are one folder.',
      severity: 'error',
      scope: 'folder',
      from: { path: '^src/.' },
      to: { circular: true },
    },
    { name: 'file-cycle', severity: 'error', from: {}, to: { circular: true } },
    ...rooms.map((room, index) => ({
      name: `upward-from-${room}`,
      comment: `${room} imports only from the rooms below it.`,
      severity: 'error',
      from: { path: inRoom(room) },
      to: {
        path: `^src/(${[...rooms.slice(index + 1).map((name) => `${name}/`), 'cli\\.ts'].join('|')})`,
      },
    })),
    {
      name: 'unknown-room',
      comment: 'A new room gets its place in the list of rooms.',
      severity: 'error',
      from: {},
      to: { path: '^src/', pathNot: [inRoom(rooms.join('|')), '^src/cli\\.ts$'] },
    },
    ...strangers.map(([from, to, comment]) => ({
      name: `${from}-knows-${to}`,
      comment,
      severity: 'error',
      from: { path: inRoom(from) },
      to: { path: inRoom(to) },
    })),
    ...Object.entries(doors).map(([room, files]) => ({
      name: `inside-${room}`,
      comment: `${room} is entered through ${files.join(', ')}.`,
      severity: 'error',
      from: { path: '^src/', pathNot: inRoom(room) },
      to: { path: inRoom(room), pathNot: `^src/${room}/(${files.join('|')})\\.ts$` },
    })),
    ...privateDoors.map(([door, room, comment]) => ({
      name: `private-${door.replace(/[^a-z].*/, '')}`,
      comment,
      severity: 'error',
      from: { path: '^src/', pathNot: [inRoom(room), inRoom(door.replace(/[^a-z].*/, ''))] },
      to: { path: `^src/${door}\\.ts$` },
    })),
    ...Object.entries(parts).flatMap(([room, levels]) =>
      levels.map((level, index) => ({
        name: `upward-in-${room}-from-${level.replaceAll('|', '-')}`,
        comment: `${room}/${level} imports only from the parts below it.`,
        severity: 'error',
        from: { path: `^src/${room}/(${level})/` },
        to: {
          path: `^src/${room}/(${[...levels.slice(index + 1), level].join('|')})/`,
          pathNot: `^src/${room}/$1/`,
        },
      })),
    ),
    ...packages.map(([name, allowed, comment]) => ({
      name: `package-${name.replace(/[^a-z].*/, '')}`,
      comment,
      severity: 'error',
      from: { path: '^src/', pathNot: inRoom(allowed) },
      to: { path: `node_modules/(${name})/` },
    })),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|build|test|tools)/' },
  },
};
