import { encodeModel } from '../access/keys/key-line.ts';
import { parseDuration } from '../access/keys/when.ts';
import { priorities } from '../admission/fair-queue.ts';
import { nearest } from '../core/nearest.ts';
import { quote } from '../core/quote.ts';
import { choice, text, type ValueKind } from '../core/value-kinds.ts';
import { type FlagValues, present, readFlags } from '../terminal/flags.ts';

/** The command line of `keys` is wrong: exit code 2. */
export class KeysUsageError extends Error {}

export const keysCommands = ['generate', 'list', 'remove', 'rotate', 'validate', 'hash'] as const;
export type KeysCommandName = (typeof keysCommands)[number];

/** The arguments of `keys`. */
export interface KeysOptions {
  /** Undefined: the help. */
  readonly command: KeysCommandName | undefined;
  readonly help: boolean;
  readonly file: string | undefined;
  readonly quiet: boolean;
  readonly json: boolean;
  readonly name: string;
  readonly rateLimit: string | undefined;
  readonly expires: string | undefined;
  readonly graceMs: number;
  readonly hash: boolean;
  readonly plain: boolean;
  readonly force: boolean;
  readonly all: boolean;
  readonly stdin: boolean;
  /** Attributes of the line, by name. */
  readonly attributes: ReadonlyMap<string, string>;
}

const flags = {
  file: { kind: text('PATH') },
  quiet: { kind: present(), short: 'q' },
  json: { kind: present() },
  help: { kind: present(), short: 'h' },
  name: { kind: text('NAME') },
  'rate-limit': { kind: count() },
  expires: { kind: text('WHEN') },
  grace: { kind: duration() },
  hash: { kind: present() },
  plain: { kind: present() },
  force: { kind: present() },
  all: { kind: present() },
  stdin: { kind: present() },
  models: { kind: text('ID,...') },
  scopes: { kind: text('SCOPE,...') },
  priority: { kind: choice(...priorities) },
  'tokens-per-minute': { kind: count() },
  'tokens-per-day': { kind: count() },
  'concurrent-requests': { kind: count() },
};

type Values = FlagValues<typeof flags>;

const globalFlags = ['file', 'quiet', 'json', 'help'];
const limitFlags = ['tokens-per-minute', 'tokens-per-day', 'concurrent-requests'] as const;

const commandFlags: Readonly<Record<KeysCommandName, readonly string[]>> = {
  generate: [
    ...['name', 'rate-limit', 'expires', 'hash', 'plain', 'force', 'models', 'scopes', 'priority'],
    ...limitFlags,
  ],
  list: [],
  remove: ['name'],
  rotate: ['name', 'rate-limit', 'expires', 'grace', 'hash', 'plain', 'force'],
  validate: [],
  hash: ['name', 'all', 'stdin'],
};

export const keysHelp = `Usage: llama-gguf-inference keys COMMAND [flags]

Manages the file with the API keys. Flags may stand anywhere.

Commands:
  generate NAME [--rate-limit N] [--expires WHEN] [--plain] [--models ID,...] [--scopes SCOPE,...]
           [--tokens-per-minute N] [--tokens-per-day N] [--concurrent-requests N]
           [--priority interactive|batch]
             create a key and show it once; the file has its hash, with --plain the key itself
  list       show the keys without their secrets
  remove NAME
  rotate NAME [--rate-limit N] [--expires WHEN] [--grace DURATION] [--hash or --plain]
             replace the secret, in the form that the file has it; --grace is the time for which the old secret stays valid
  validate   check every line
  hash       NAME or --all: store hashes instead of secrets; --stdin: show the hash of a secret

WHEN is an ISO 8601 date or time (UTC without a zone), never, or a DURATION from now. DURATION is a number with m, h, d or w.

  --file PATH   the key file (default: AUTH_KEYS_FILE, else api_keys.txt in DATA_DIR)
  --quiet, -q   print the result only
  --json        answer with one JSON object
  --force       accept an expiration in the past
  --help        this text

Exit codes: 0 done, 1 not possible or not valid, 2 wrong flags.
`;

/** @throws {KeysUsageError} */
export function parseKeysOptions(argv: readonly string[]): KeysOptions {
  const { values, words, problems } = readFlags(argv, flags, { maxWords: 2 });
  const [first, name] = words;
  const command = keysCommands.find((name) => name === first);
  if (first !== undefined && command === undefined) {
    const meant = nearest(first, keysCommands);
    throw new KeysUsageError(
      `unknown command ${quote(first)}${meant === undefined ? '' : `, did you mean ${meant}?`}`,
    );
  }
  const [problem] = problems;
  if (problem !== undefined) throw new KeysUsageError(problem);
  const takesName = command !== undefined && commandFlags[command].includes('name');
  if (name !== undefined && !takesName) {
    throw new KeysUsageError(`unexpected argument ${quote(name)}`);
  }
  if (name !== undefined && values.name !== undefined) {
    throw new KeysUsageError('the name is there twice, as a word and as --name');
  }
  const given = name === undefined ? values : { ...values, name };
  if (command !== undefined) checkFlags(command, given);
  return {
    command,
    help: values.help ?? false,
    file: values.file,
    quiet: values.quiet ?? false,
    json: values.json ?? false,
    name: given.name ?? '',
    rateLimit: values['rate-limit'],
    expires: values.expires,
    graceMs: values.grace ?? 0,
    hash: values.hash ?? false,
    plain: values.plain ?? false,
    force: values.force ?? false,
    all: values.all ?? false,
    stdin: values.stdin ?? false,
    attributes: attributesOf(values),
  };
}

function checkFlags(command: KeysCommandName, values: Values): void {
  if (values.help === true) return;
  const allowed = [...globalFlags, ...commandFlags[command]];
  const strange = Object.keys(values).find((name) => !allowed.includes(name));
  if (strange !== undefined) throw new KeysUsageError(`${command} takes no --${strange}`);
  if (values.hash === true && values.plain === true) {
    throw new KeysUsageError('--hash and --plain are opposites');
  }
  if (command === 'hash') {
    const ways = [values.name, values.all, values.stdin].filter((each) => each !== undefined);
    if (ways.length !== 1)
      throw new KeysUsageError('hash needs the name of a key, --all or --stdin');
  } else if (allowed.includes('name') && (values.name ?? '') === '') {
    throw new KeysUsageError(`${command} needs the name of a key`);
  }
}

/** A limit, in the digits of the key file. */
function count(): ValueKind<string> {
  return {
    expectation: 'a whole number from 1',
    placeholder: 'N',
    parse: (value) => (/^[1-9]\d{0,11}$/.test(value) ? value : undefined),
  };
}

/** Milliseconds. */
function duration(): ValueKind<number> {
  return {
    expectation: 'a number with m, h, d or w, such as 24h',
    placeholder: 'DURATION',
    parse: parseDuration,
  };
}

function attributesOf(values: Values): ReadonlyMap<string, string> {
  const attributes = new Map<string, string>();
  for (const name of limitFlags) {
    const value = values[name];
    if (value !== undefined) attributes.set(name.replaceAll('-', '_'), value);
  }
  for (const name of ['models', 'scopes'] as const) {
    const entries = values[name]?.split(',').map((entry) => encodeModel(entry.trim()));
    if (entries !== undefined) attributes.set(name, entries.join(','));
  }
  if (values.priority !== undefined) attributes.set('priority', values.priority);
  return attributes;
}
