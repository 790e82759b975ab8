/** Responses on the disk, each readable by the key that it was made for. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../../access/keys/atomic-file.ts';
import { GatewayError } from '../../core/errors.ts';
import { responseIdOf } from './response-ids.ts';
import type { ResponseObject, ResponseStreamEvent } from './response-object.ts';
import type { InputItem } from './response-shapes.ts';

/** A response and what it answers. */
export interface StoredResponse {
  readonly response: ResponseObject;
  /** The items of its own request, without those of the responses before it. */
  readonly input: readonly InputItem[];
}

export interface StoreLimits {
  /** Of all files; the oldest of the key that has most of them are deleted first. */
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

interface Entry {
  /** Of its key. */
  readonly folder: string;
  /** With its events. */
  readonly bytes: number;
  readonly storedAt: number;
}

/** No other text becomes a part of a path. */
const validId = /^resp_[0-9a-f]{32}$/;
/** What a file holds: a response, or the events of one. */
const fileName = /^(?<id>resp_[0-9a-f]{32})(?<isEvents>\.events)?\.json$/;

/** No response takes more than this share of the store, so that none empties it. */
const maxShare = 1 / 4;
/** How often responses that are too old are looked for. */
const agingMs = 3_600_000;

/**
 * One file for each response, in a folder for each key: `<folder>/<hash of the key's id>/<id>.json`, and
 * `<id>.events.json` for one whose events are kept. A file is there as a whole or not at all, also after the process was
 * killed.
 */
export class ResponseStore {
  readonly #folder: string;
  readonly #limits: StoreLimits;
  /** By id, the oldest first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  private constructor(folder: string, limits: StoreLimits) {
    this.#folder = folder;
    this.#limits = limits;
  }

  /** Reads which responses there are. Creates the folder. */
  static async open(folder: string, limits: StoreLimits): Promise<ResponseStore> {
    const store = new ResponseStore(folder, limits);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await store.#scan();
    await store.#shrink();
    // A file that cannot be deleted now is tried again in an hour.
    setInterval(() => void store.#shrink().catch(() => {}), agingMs).unref();
    return store;
  }

  /** Bytes of all responses. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Stores a response, or replaces it. On the disk when this returns.
   * @param events - of a response that can be streamed again
   * @throws {Error} for a response that is too large
   */
  async put(
    keyId: string,
    stored: StoredResponse,
    events?: readonly ResponseStreamEvent[],
  ): Promise<void> {
    const { id } = stored.response;
    if (!validId.test(id)) throw new Error(`not the id of a response: ${id}`);
    const folder = this.#folderOf(keyId);
    const text = JSON.stringify(stored);
    const eventsText = events === undefined ? '' : JSON.stringify(events);
    const bytes = Buffer.byteLength(text) + Buffer.byteLength(eventsText);
    if (bytes > this.#limits.maxBytes * maxShare) {
      throw new Error(`a response of ${bytes} bytes is too large for RESPONSES_STORE_SIZE`);
    }
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if (eventsText !== '') await replaceFile(join(folder, `${id}.events.json`), eventsText);
    await replaceFile(join(folder, `${id}.json`), text);
    this.#forget(id);
    this.#add(id, { folder, bytes, storedAt: Date.now() });
    await this.#shrink();
  }

  /** Undefined for a response that there is not, or that is another key's. */
  async get(keyId: string, id: string): Promise<StoredResponse | undefined> {
    return (await this.#read<StoredResponse>(keyId, id, `${id}.json`))?.value;
  }

  /** Undefined for a response without kept events. */
  async events(keyId: string, id: string): Promise<readonly ResponseStreamEvent[] | undefined> {
    const name = `${id}.events.json`;
    return (await this.#read<readonly ResponseStreamEvent[]>(keyId, id, name))?.value;
  }

  /**
   * Items of responses, and of what they answer, by their ids; without those that there are not for this key.
   * @param maxBytes - of the files that are read
   * @throws {GatewayError} `payload_too_large`
   */
  async items(
    keyId: string,
    ids: ReadonlySet<string>,
    maxBytes: number,
  ): Promise<ReadonlyMap<string, InputItem>> {
    const found = new Map<string, InputItem>();
    let bytes = 0;
    for (const id of new Set([...ids].map(responseIdOf))) {
      const read = id && (await this.#read<StoredResponse>(keyId, id, `${id}.json`));
      if (!read) continue;
      bytes += read.bytes;
      if (bytes > maxBytes) throw tooLarge('input', maxBytes);
      for (const item of itemsOfResponse(read.value)) {
        if (item.id != null && ids.has(item.id)) found.set(item.id, item);
      }
    }
    return found;
  }

  /** @returns false if there was none for this key */
  async delete(keyId: string, id: string): Promise<boolean> {
    if (!validId.test(id)) return false;
    const isDeleted = await removeFiles(this.#folderOf(keyId), id);
    if (isDeleted) this.#forget(id);
    return isDeleted;
  }

  /**
   * The items of a conversation up to a response, its output included, the oldest first.
   * @param maxBytes - of all of its files
   * @throws {GatewayError} `previous_response_not_found` where it, or a response before it, is not there for this key;
   *   `bad_request` for one without an answer; `payload_too_large`
   */
  async conversation(keyId: string, id: string, maxBytes: number): Promise<readonly InputItem[]> {
    const parts: (readonly InputItem[])[] = [];
    const seen = new Set<string>();
    let bytes = 0;
    for (let next: string | null = id; next !== null; ) {
      const read: Read<StoredResponse> | undefined = await this.#read(keyId, next, `${next}.json`);
      if (read === undefined || seen.has(next)) throw notFound(next);
      const { response }: StoredResponse = read.value;
      const { status } = response;
      if (status === 'queued' || status === 'in_progress') throw unanswered(next);
      seen.add(next);
      bytes += read.bytes;
      if (bytes > maxBytes) throw tooLarge('previous_response_id', maxBytes);
      parts.push(itemsOfResponse(read.value));
      next = response.previous_response_id;
    }
    return parts.reverse().flat();
  }

  async #read<Value>(keyId: string, id: string, name: string): Promise<Read<Value> | undefined> {
    if (!validId.test(id) || this.#isTooOld(this.#entries.get(id))) return undefined;
    try {
      const text = await readFile(join(this.#folderOf(keyId), name), 'utf8');
      return { value: JSON.parse(text) as Value, bytes: text.length };
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  async #scan(): Promise<void> {
    const found = new Map<string, Entry>();
    for (const keyFolder of await readdir(this.#folder)) {
      const folder = join(this.#folder, keyFolder);
      for (const name of await readdir(folder).catch(() => [])) {
        // What a killed process has begun to write.
        if (name.endsWith('.tmp')) await removed(join(folder, name));
        const { id } = fileName.exec(name)?.groups ?? {};
        if (id === undefined) continue;
        const { size, mtimeMs } = await stat(join(folder, name));
        const bytes = size + (found.get(id)?.bytes ?? 0);
        found.set(id, { folder, bytes, storedAt: mtimeMs });
      }
    }
    const byAge = [...found].sort(([, one], [, other]) => one.storedAt - other.storedAt);
    for (const [id, entry] of byAge) this.#add(id, entry);
  }

  /** Deletes what is too old, and what is too much: one key's responses do not displace those of another with fewer. */
  async #shrink(): Promise<void> {
    for (const [id, entry] of this.#entries) {
      if (!this.#isTooOld(entry)) break;
      await this.#evict(id, entry);
    }
    while (this.#bytes > this.#limits.maxBytes) {
      const folder = this.#largestFolder();
      const oldest = [...this.#entries].find(([, entry]) => entry.folder === folder);
      if (oldest === undefined) return;
      await this.#evict(...oldest);
    }
  }

  async #evict(id: string, entry: Entry): Promise<void> {
    this.#forget(id);
    await removeFiles(entry.folder, id);
  }

  #largestFolder(): string | undefined {
    const bytes = new Map<string, number>();
    for (const entry of this.#entries.values()) {
      bytes.set(entry.folder, (bytes.get(entry.folder) ?? 0) + entry.bytes);
    }
    return [...bytes].sort(([, one], [, other]) => other - one)[0]?.[0];
  }

  #isTooOld(entry: Entry | undefined): boolean {
    return entry !== undefined && Date.now() - entry.storedAt > this.#limits.maxAgeMs;
  }

  #add(id: string, entry: Entry): void {
    this.#entries.set(id, entry);
    this.#bytes += entry.bytes;
  }

  #forget(id: string): void {
    this.#bytes -= this.#entries.get(id)?.bytes ?? 0;
    this.#entries.delete(id);
  }

  /** Ids of keys may have any characters. */
  #folderOf(keyId: string): string {
    return join(this.#folder, createHash('sha256').update(keyId).digest('hex').slice(0, 32));
  }
}

interface Read<Value> {
  readonly value: Value;
  readonly bytes: number;
}

function itemsOfResponse({ input, response }: StoredResponse): readonly InputItem[] {
  return [...input, ...(response.output as readonly InputItem[])];
}

function notFound(id: string): GatewayError {
  return new GatewayError('previous_response_not_found', {
    param: 'previous_response_id',
    message: `Previous response with id ${JSON.stringify(id.slice(0, 100))} not found.`,
  });
}

function unanswered(id: string): GatewayError {
  return new GatewayError('bad_request', {
    param: 'previous_response_id',
    message: `Previous response with id ${JSON.stringify(id)} has no answer: it still runs, or a restart has ended it.`,
  });
}

function tooLarge(param: string, maxBytes: number): GatewayError {
  return new GatewayError('payload_too_large', {
    param,
    message: `\`${param}\` stands for more than the ${maxBytes} bytes that a request may have.`,
  });
}

/** @returns false if there was no response */
async function removeFiles(folder: string, id: string): Promise<boolean> {
  await removed(join(folder, `${id}.events.json`));
  return removed(join(folder, `${id}.json`));
}

async function removed(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
