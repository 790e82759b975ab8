import { stat } from 'node:fs/promises';
import { failureText } from '../../core/failure-text.ts';
import type { Logger } from '../../log/log.ts';
import type { ApiKey } from './api-key.ts';
import { type LineNote, parseKeyFile } from './key-file.ts';
import { KeyRing } from './key-ring.ts';
import { type KeyFileContent, readKeyFile } from './read-key-file.ts';

/** Options of a key source. */
export interface KeySourceOptions {
  /** Path of the key file, which need not exist. */
  readonly path: string;
  readonly logger: Logger;
  /** Key ids of `ADMIN_KEY_IDS`; an id without a line causes a warning. */
  readonly adminKeyIds?: readonly string[];
  /** Keys that do not come from the file, and stay whatever it says. */
  readonly fixedKeys?: readonly ApiKey[];
  readonly read?: (path: string) => Promise<KeyFileContent>;
}

/** The result of reading the file. */
export interface KeyLoad {
  readonly keyCount: number;
  /** Invalid lines. */
  readonly skipped: readonly LineNote[];
}

/** The file has no valid keys or cannot be read, so the previous keys stay valid. The message says why. */
export class KeyLoadError extends Error {}

/** How soon a change of the file is noticed. */
const watchIntervalMs = 2000;

/** Maximum number of key ids in a log line. */
const listedIdCount = 50;

/**
 * The keys of a file, as of its last valid state. Problems of the file are logged here, because a change of the file
 * starts a reload without a caller.
 */
export class KeySource {
  readonly path: string;
  readonly #logger: Logger;
  readonly #adminKeyIds: readonly string[];
  readonly #fixedKeys: readonly ApiKey[];
  readonly #read: (path: string) => Promise<KeyFileContent>;
  #ring: KeyRing;
  /** The state of the file before it was read last. */
  #state = '';
  /** Serializes reloads, so that the last one wins. */
  #reading: Promise<unknown> = Promise.resolve();

  constructor(options: KeySourceOptions) {
    const { path, logger, adminKeyIds = [], fixedKeys = [], read = readKeyFile } = options;
    this.path = path;
    this.#logger = logger;
    this.#adminKeyIds = adminKeyIds;
    this.#fixedKeys = fixedKeys;
    this.#ring = new KeyRing(fixedKeys);
    this.#read = read;
  }

  /** The valid keys. */
  get ring(): KeyRing {
    return this.#ring;
  }

  /** Reads the file at the start. Without a key, every request is refused and the log has a warning. */
  async open(): Promise<void> {
    try {
      await this.load();
    } catch (error) {
      if (!(error instanceof KeyLoadError)) throw error;
    }
    if (this.#ring.size > 0) return;
    this.#logger.warn(
      { path: this.path },
      'there are no API keys: every request that needs one is refused with 401; ' +
        'make one with `llama-gguf-inference keys generate NAME`, or set API_KEYS',
    );
  }

  /**
   * Reads the file again whenever it differs from what was read, appears or disappears. Polls the file, which also works
   * where it is replaced, mounted, or on another machine.
   * @returns a function that ends the polling
   */
  watch(intervalMs = watchIntervalMs): () => void {
    const timer = setInterval(() => this.#loadIfChanged(), intervalMs).unref();
    return () => clearInterval(timer);
  }

  #loadIfChanged(): void {
    this.#inTurn(async () => {
      if ((await stateOf(this.path)) !== this.#state) await this.#load();
    }).catch(() => {});
  }

  /**
   * Reads the file, and replaces all keys at once if the file is valid.
   * @throws {KeyLoadError} when the file cannot be read, or has no valid key where there were keys: then the previous
   *   keys stay
   */
  load(): Promise<KeyLoad> {
    return this.#inTurn(() => this.#load());
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#reading.then(work);
    this.#reading = done.catch(() => {});
    return done;
  }

  async #load(): Promise<KeyLoad> {
    const { path } = this;
    this.#state = await stateOf(path);
    let content: KeyFileContent;
    try {
      content = await this.#read(path);
    } catch (error) {
      if (!this.#isSpare(error)) {
        throw this.#refused(`the key file cannot be read: ${failureText(error)}`);
      }
      content = { text: '', warnings: [] };
    }
    const { keys, skipped, warnings } = parseKeyFile(content.text);
    for (const message of content.warnings) this.#logger.warn({ path }, `key file: ${message}`);
    for (const note of skipped)
      this.#logger.warn({ path, ...note }, 'line of the key file skipped');
    for (const note of warnings)
      this.#logger.warn({ path, ...note }, 'line of the key file is odd');
    if (keys.length === 0 && this.#ring.size > this.#fixedKeys.length) {
      throw this.#refused('the key file has no valid key');
    }
    this.#ring = new KeyRing([...this.#fixedKeys, ...keys]);
    const { size: keyCount, keyIds } = this.#ring;
    this.#logger.info(
      { path, keys: keyCount, keyIds: keyIds.slice(0, listedIdCount) },
      'API keys loaded',
    );
    this.#warnAboutAdmins(keyIds);
    return { keyCount, skipped };
  }

  /** Whether a file that is not there is missed by nobody. */
  #isSpare(error: unknown): boolean {
    const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    return isAbsent && this.#fixedKeys.length > 0 && this.#ring.size === this.#fixedKeys.length;
  }

  #refused(reason: string): KeyLoadError {
    const { size } = this.#ring;
    const kept = size === 0 ? '' : `; the previous keys (${size}) stay valid`;
    const error = new KeyLoadError(`${reason}${kept}`);
    this.#logger.error({ path: this.path }, error.message);
    return error;
  }

  #warnAboutAdmins(keyIds: readonly string[]): void {
    const missing = this.#adminKeyIds.filter((keyId) => !keyIds.includes(keyId));
    if (missing.length === 0) return;
    this.#logger.warn(
      { keyIds: missing },
      'ADMIN_KEY_IDS names keys that the key file does not have',
    );
  }
}

/** Equal as long as a file is neither written nor replaced. Reading changes the time of the last access only. */
async function stateOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(path);
    return [ino, size, mtimeMs, ctimeMs].join();
  } catch {
    return 'unreadable';
  }
}
