import { isExpired } from '../access/keys/api-key.ts';
import { replaceFile, withLock } from '../access/keys/atomic-file.ts';
import {
  addKey,
  hashKeys,
  KeyEditError,
  newFileHeader,
  removeKey,
  rotateKey,
} from '../access/keys/key-edits.ts';
import { type KeyFileLine, parseKeyFile } from '../access/keys/key-file.ts';
import { isKeyId, type KeyLineFields } from '../access/keys/key-line.ts';
import { readKeyFile } from '../access/keys/read-key-file.ts';
import {
  generateSecret,
  guessableBits,
  hashOf,
  isSecret,
  weakBits,
} from '../access/keys/secret.ts';
import { parseWhen } from '../access/keys/when.ts';
import { writeFailure } from '../core/permission-text.ts';
import { neutralise } from '../log/log.ts';
import { type KeyTableRow, keyTable, toRow } from './key-table.ts';
import { type KeysOptions, KeysUsageError, keysHelp, parseKeysOptions } from './keys-options.ts';

/** The surroundings of the `keys` command. */
export interface KeysInput {
  readonly argv: readonly string[];
  /** The key file where `--file` names none. */
  readonly defaultFile: string;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly readStdin: () => Promise<string>;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** Changes or shows the key file. Returns the exit code; a failure has been reported by then. */
export async function runKeys(input: KeysInput): Promise<number> {
  try {
    const options = parseKeysOptions(input.argv);
    if (options.help || options.command === undefined) {
      input.out(keysHelp);
      return options.help ? 0 : 1;
    }
    return await new KeysCommand(input, options).run(options.command);
  } catch (error) {
    const reason =
      error instanceof KeyEditError
        ? error.message
        : writeFailure(error, pathOf(error), 'set API_KEYS for the server');
    input.err(`Error: ${neutralise(reason)}\n`);
    return error instanceof KeysUsageError ? 2 : 1;
  }
}

/** The file that a failure of the file system is about. */
function pathOf(error: unknown): string {
  return error instanceof Error && 'path' in error ? String(error.path) : 'the key file';
}

class KeysCommand {
  readonly #input: KeysInput;
  readonly #options: KeysOptions;
  readonly #file: string;
  readonly #now: number;

  constructor(input: KeysInput, options: KeysOptions) {
    this.#input = input;
    this.#options = options;
    this.#file = options.file ?? input.defaultFile;
    this.#now = input.now?.() ?? Date.now();
  }

  async run(command: NonNullable<KeysOptions['command']>): Promise<number> {
    switch (command) {
      case 'generate':
        await this.#generate();
        return 0;
      case 'rotate':
        await this.#rotate();
        return 0;
      case 'remove':
        await this.#remove();
        return 0;
      case 'hash':
        await this.#hash();
        return 0;
      case 'list':
        await this.#list();
        return 0;
      case 'validate':
        return this.#validate();
      default:
        return command satisfies never;
    }
  }

  async #generate(): Promise<void> {
    const { name: keyId, rateLimit = '', attributes } = this.#options;
    if (!isKeyId(keyId)) {
      throw new KeyEditError('--name must be 1 to 64 letters, digits, "-" and "_"');
    }
    const secret = generateSecret();
    const expiration = this.#expiration() ?? '';
    const fields = { keyId, secret: this.#stored(secret), rateLimit, expiration, attributes };
    await this.#change((text) => addKey(text ?? newFileHeader, fields));
    this.#showSecret('Generated', secret, fields);
  }

  async #rotate(): Promise<void> {
    const { name, rateLimit, graceMs } = this.#options;
    const secret = generateSecret();
    const { hash, plain } = this.#options;
    const expiration = this.#expiration();
    const now = this.#now;
    let fields: KeyLineFields | undefined;
    await this.#change((text = '') => {
      const rotated = rotateKey(text, name, {
        secret,
        hashes: hash || (plain ? false : undefined),
        rateLimit,
        expiration,
        graceMs,
        now,
      });
      fields = rotated.fields;
      return rotated.text;
    });
    if (fields !== undefined) this.#showSecret('Rotated', secret, fields);
  }

  async #remove(): Promise<void> {
    const { name } = this.#options;
    let lineCount = 0;
    await this.#change((text = '') => {
      const removed = removeKey(text, name);
      lineCount = removed.lineCount;
      return removed.text;
    });
    const lines = lineCount === 1 ? '' : ` (${lineCount} lines)`;
    this.#report(`Removed key '${name}'.${lines}`, { key_id: name, removed_lines: lineCount });
  }

  async #hash(): Promise<void> {
    const { name, all, stdin } = this.#options;
    if (stdin) {
      await this.#hashStdin();
      return;
    }
    let hashedCount = 0;
    await this.#change((text = '') => {
      const hashed = hashKeys(text, all ? undefined : name);
      hashedCount = hashed.hashedCount;
      return hashed.text;
    });
    this.#report(`Hashed ${hashedCount} key(s).`, { hashed: hashedCount });
  }

  async #hashStdin(): Promise<void> {
    const secret = (await this.#input.readStdin()).trim();
    if (!isSecret(secret)) {
      throw new KeyEditError('a key must be 16 to 128 letters, digits, "-" and "_"');
    }
    if (guessableBits(secret) < weakBits) {
      this.#input.err('Warning: this key is easy to guess, and so to find from its hash\n');
    }
    const hash = hashOf(secret);
    this.#answer({ hash }, `${hash}\n`);
  }

  async #list(): Promise<void> {
    const text = await this.#read();
    const { lines, keys } = parseKeyFile(text ?? '');
    const rows = lines.flatMap((line) => this.#row(line));
    const count = `${keys.length} key(s) configured\n`;
    const hint = text === undefined ? `There is no file ${this.#file}; generate makes it.\n` : '';
    const table = rows.length === 0 ? '' : `${keyTable(rows)}\n`;
    const said = this.#options.quiet ? count : `${table}${count}${hint}`;
    this.#answer({ file: this.#file, count: keys.length, keys: rows }, said);
  }

  async #validate(): Promise<number> {
    const { text, warnings: fileWarnings } = await readKeyFile(this.#file);
    const { keys, skipped, warnings } = parseKeyFile(text);
    const problems = [
      ...skipped.map(({ line, reason }) => `line ${line}: ${reason}`),
      ...(keys.length === 0 ? ['there is no valid key'] : []),
    ];
    const oddities = [
      ...fileWarnings,
      ...warnings.map(({ line, reason }) => `line ${line}: ${reason}`),
      ...keys
        .filter((key) => isExpired(key, this.#now))
        .map(({ keyId, lineNumber }) => `line ${lineNumber}: key ${keyId} has expired`),
    ];
    const valid = problems.length === 0;
    const said = [
      ...problems.map((problem) => `Error: ${problem}\n`),
      ...oddities.map((oddity) => `Warning: ${oddity}\n`),
      `${keys.length} valid key(s), ${skipped.length} line(s) skipped\n`,
    ].join('');
    this.#answer(
      { file: this.#file, valid, count: keys.length, errors: problems, warnings: oddities },
      this.#options.quiet ? '' : said,
    );
    return valid ? 0 : 1;
  }

  #row(line: KeyFileLine): KeyTableRow[] {
    return line.kind === 'other' ? [] : [toRow(line, this.#now)];
  }

  /** The text of the file; undefined without a file. */
  async #read(): Promise<string | undefined> {
    try {
      return (await readKeyFile(this.#file)).text;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async #change(edit: (text: string | undefined) => string): Promise<void> {
    await withLock(this.#file, async () => replaceFile(this.#file, edit(await this.#read())));
  }

  #stored(secret: string): string {
    return this.#options.plain ? secret : hashOf(secret);
  }

  /** The expiration as written to the file; undefined where none was given, empty for never. */
  #expiration(): string | undefined {
    const { expires, force } = this.#options;
    if (expires === undefined) return undefined;
    if (expires === 'never') return '';
    const when = parseWhen(expires, this.#now);
    if (when === undefined) {
      throw new KeysUsageError(
        "--expires must be an ISO 8601 date or time, never, or a number with m, h, d or w such as '90d'",
      );
    }
    if (when.timeMs <= this.#now && !force) {
      throw new KeyEditError(
        `--expires is in the past (${when.text}); pass --force if you mean it`,
      );
    }
    return when.text;
  }

  #showSecret(done: string, secret: string, { keyId, rateLimit, expiration }: KeyLineFields): void {
    const details =
      done === 'Rotated'
        ? ''
        : ` (rate_limit=${rateLimit === '' ? 'default' : `${rateLimit}/min`}, expires=${expiration || 'never'})`;
    const said = this.#options.quiet
      ? `${secret}\n`
      : `${done} key for '${keyId}': ${secret}${details}\n`;
    const json = {
      key_id: keyId,
      api_key: secret,
      rate_limit: rateLimit === '' ? null : Number(rateLimit),
      expires: expiration || null,
    };
    this.#answer(json, said);
  }

  #report(sentence: string, json: object): void {
    this.#answer(json, this.#options.quiet ? '' : `${sentence}\n`);
  }

  #answer(json: object, said: string): void {
    this.#input.out(this.#options.json ? `${JSON.stringify(json)}\n` : said);
  }
}
