import { parseArgs } from 'node:util';
import { encodeModel } from '../access/keys/key-line.ts';
import { parseDuration } from '../access/keys/when.ts';
import { priorities } from '../admission/fair-queue.ts';
import { nearest } from '../core/nearest.ts';

/** The command line of `keys` is wrong: exit code 2. */
export class KeysUsageError extends Error {}

export const keysCommands = ['generate', 'list', 'remove', 'rotate', 'validate', 'hash'] as const;
export type KeysCommandName = (typeof keysCommands)[number];

/** What `keys` was asked for. */
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
  readonly force: boolean;
  readonly all: boolean;
  readonly stdin: boolean;
  /** As they stand behind the fields of a line. */
  readonly attributes: ReadonlyMap<string, string>;
}

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;

const globalFlags = ['file', 'quiet', 'json', 'help'];
const limitFlags = ['tokens-per-minute', 'tokens-per-day', 'concurrent-requests'] as const;

const commandFlags: Readonly<Record<KeysCommandName, readonly string[]>> = {
  generate: [
    ...['name', 'rate-limit', 'expires', 'hash', 'force', 'models', 'scopes', 'priority'],
    ...limitFlags,
  ],
  list: [],
  remove: ['name'],
  rotate: ['name', 'rate-limit', 'expires', 'grace', 'hash', 'force'],
  validate: [],
  hash: ['name', 'all', 'stdin'],
};

export const keysHelp = `Usage: llama-gguf-inference keys COMMAND [flags]

Manages the file with the API keys. Flags may stand anywhere.

Commands:
  generate --name N [--rate-limit N] [--expires WHEN] [--hash] [--models ID,...] [--scopes SCOPE,...]
           [--tokens-per-minute N] [--tokens-per-day N] [--concurrent-requests N]
           [--priority interactive|batch]
             make a key and show it, this once
  list       show the keys, without their secrets
  remove --name N
  rotate --name N [--rate-limit N] [--expires WHEN] [--grace DURATION] [--hash]
             replace the secret; with --grace the old one stays valid for so long
  validate   check every line
  hash       --name N or --all: keep hashes instead of secrets; --stdin: show the hash of one

WHEN is a date or time of ISO 8601 (UTC unless it has a zone), never, or like DURATION a number with m, h, d or w.

  --file PATH   the key file (default: AUTH_KEYS_FILE, else api_keys.txt in DATA_DIR)
  --quiet, -q   say only what was asked for
  --json        answer with one JSON object
  --force       accept an expiration in the past
  --help        this text

Exit codes: 0 done, 1 not possible or not valid, 2 wrong flags.
`;

/** @throws {KeysUsageError} */
export function parseKeysOptions(argv: readonly string[]): KeysOptions {
  const { values, positionals } = parse(argv);
  const [first, ...rest] = positionals;
  const command = keysCommands.find((name) => name === first);
  if (first !== undefined && command === undefined) {
    const meant = nearest(first, keysCommands);
    throw new KeysUsageError(
      `unknown command '${first}'${meant === undefined ? '' : `, did you mean ${meant}?`}`,
    );
  }
  const [extra] = rest;
  if (extra !== undefined) throw new KeysUsageError(`unexpected argument '${extra}'`);
  if (command !== undefined) checkFlags(command, values);
  return {
    command,
    help: values.help ?? false,
    file: values.file,
    quiet: values.quiet ?? false,
    json: values.json ?? false,
    name: values.name ?? '',
    rateLimit: count(values['rate-limit'], 'rate-limit'),
    expires: values.expires,
    graceMs: grace(values.grace),
    hash: values.hash ?? false,
    force: values.force ?? false,
    all: values.all ?? false,
    stdin: values.stdin ?? false,
    attributes: attributesOf(values),
  };
}

type Values = ReturnType<typeof parse>['values'];

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        file: text,
        quiet: { ...flag, short: 'q' },
        json: flag,
        help: { ...flag, short: 'h' },
        name: text,
        'rate-limit': text,
        expires: text,
        grace: text,
        hash: flag,
        force: flag,
        all: flag,
        stdin: flag,
        models: text,
        scopes: text,
        priority: text,
        'tokens-per-minute': text,
        'tokens-per-day': text,
        'concurrent-requests': text,
      },
    });
  } catch (error) {
    // Node's sentence names the flag; what follows it is advice about dashes.
    const message = error instanceof Error ? error.message : String(error);
    throw new KeysUsageError(message.replace(/\. .*$/s, ''));
  }
}

function checkFlags(command: KeysCommandName, values: Values): void {
  if (values.help === true) return;
  const allowed = [...globalFlags, ...commandFlags[command]];
  const strange = Object.keys(values).find((name) => !allowed.includes(name));
  if (strange !== undefined) throw new KeysUsageError(`${command} takes no --${strange}`);
  if (command === 'hash') {
    const ways = [values.name, values.all, values.stdin].filter((each) => each !== undefined);
    if (ways.length !== 1) throw new KeysUsageError('hash needs --name, --all or --stdin');
  } else if (allowed.includes('name') && (values.name ?? '') === '') {
    throw new KeysUsageError(`${command} needs --name`);
  }
}

function count(value: string | undefined, name: string): string | undefined {
  if (value === undefined || /^[1-9]\d{0,11}$/.test(value)) return value;
  throw new KeysUsageError(`--${name} must be a whole number from 1`);
}

function grace(value: string | undefined): number {
  const durationMs = value === undefined ? 0 : parseDuration(value);
  if (durationMs !== undefined) return durationMs;
  throw new KeysUsageError('--grace must be a number with m, h, d or w, such as 24h');
}

function attributesOf(values: Values): ReadonlyMap<string, string> {
  const attributes = new Map<string, string>();
  for (const name of limitFlags) {
    const value = count(values[name], name);
    if (value !== undefined) attributes.set(name.replaceAll('-', '_'), value);
  }
  for (const name of ['models', 'scopes'] as const) {
    const entries = values[name]?.split(',').map((entry) => encodeModel(entry.trim()));
    if (entries !== undefined) attributes.set(name, entries.join(','));
  }
  if (values.priority !== undefined) attributes.set('priority', priority(values.priority));
  return attributes;
}

function priority(value: string): string {
  const known = priorities.find((each) => each === value.toLowerCase());
  if (known !== undefined) return known;
  throw new KeysUsageError(`--priority must be ${priorities.join(' or ')}`);
}
