/** Responses on the disk, each readable by the key that it was made for. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../../access/keys/atomic-file.ts';
import { responseIdOf } from './response-ids.ts';
import type { ResponseObject, ResponseStreamEvent } from './response-object.ts';
import type { InputItem } from './response-shapes.ts';

/** A response and what it answers. */
export interface StoredResponse {
  readonly response: ResponseObject;
  /** The items of its own request, without those of the responses before it. */
  readonly input: readonly InputItem[];
  /** Of a response that was streamed in the background. */
  readonly events?: readonly ResponseStreamEvent[];
}

export interface StoreLimits {
  /** Of all files; the oldest are deleted first. */
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

interface Entry {
  readonly path: string;
  readonly bytes: number;
  readonly storedAt: number;
}

/** No other text becomes a part of a path. */
const validId = /^resp_[0-9a-f]{32}$/;

/**
 * One file for each response, in a folder for each key: `<folder>/<hash of the key's id>/<id>.json`. A file is there as a
 * whole or not at all, also after the process was killed.
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
    return store;
  }

  /** Bytes of all responses. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Stores a response, or replaces it. On the disk when this returns. */
  async put(keyId: string, stored: StoredResponse): Promise<void> {
    const { id } = stored.response;
    const path = this.#pathOf(keyId, id);
    if (path === undefined) throw new Error(`not the id of a response: ${id}`);
    await mkdir(this.#folderOf(keyId), { recursive: true, mode: 0o700 });
    const text = JSON.stringify(stored);
    await replaceFile(path, text);
    this.#forget(id);
    this.#add(id, { path, bytes: Buffer.byteLength(text), storedAt: Date.now() });
    await this.#shrink();
  }

  /** Undefined for a response that there is not, or that is another key's. */
  async get(keyId: string, id: string): Promise<StoredResponse | undefined> {
    const path = this.#pathOf(keyId, id);
    if (path === undefined || this.#isTooOld(this.#entries.get(id))) return undefined;
    try {
      return JSON.parse(await readFile(path, 'utf8')) as StoredResponse;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  /** Items of responses, and of what they answer, by their ids; without those that there are not for this key. */
  async items(keyId: string, ids: ReadonlySet<string>): Promise<ReadonlyMap<string, InputItem>> {
    const found = new Map<string, InputItem>();
    for (const responseId of new Set([...ids].map(responseIdOf))) {
      const stored = responseId === undefined ? undefined : await this.get(keyId, responseId);
      for (const item of stored === undefined ? [] : itemsOfResponse(stored)) {
        if (item.id != null && ids.has(item.id)) found.set(item.id, item);
      }
    }
    return found;
  }

  /** @returns false if there was none for this key */
  async delete(keyId: string, id: string): Promise<boolean> {
    const path = this.#pathOf(keyId, id);
    if (path === undefined) return false;
    const isDeleted = await removed(path);
    if (isDeleted) this.#forget(id);
    return isDeleted;
  }

  /**
   * The items of a conversation up to a response, its output included, the oldest first.
   * @returns undefined where it, or a response before it, is not there
   */
  async conversation(keyId: string, id: string): Promise<readonly InputItem[] | undefined> {
    const parts: (readonly InputItem[])[] = [];
    const seen = new Set<string>();
    for (let next: string | null = id; next !== null; ) {
      const stored: StoredResponse | undefined = await this.get(keyId, next);
      if (stored === undefined || seen.has(next)) return undefined;
      seen.add(next);
      parts.push(itemsOfResponse(stored));
      next = stored.response.previous_response_id;
    }
    return parts.reverse().flat();
  }

  async #scan(): Promise<void> {
    const found: [string, Entry][] = [];
    for (const folder of await readdir(this.#folder)) {
      for (const name of await readdir(join(this.#folder, folder)).catch(() => [])) {
        const path = join(this.#folder, folder, name);
        const id = name.replace(/\.json$/, '');
        // What a killed process has begun to write.
        if (name.endsWith('.tmp')) await removed(path);
        if (!validId.test(id)) continue;
        const { size, mtimeMs } = await stat(path);
        found.push([id, { path, bytes: size, storedAt: mtimeMs }]);
      }
    }
    found.sort(([, one], [, other]) => one.storedAt - other.storedAt);
    for (const [id, entry] of found) this.#add(id, entry);
  }

  /** Deletes what is too old or too much. */
  async #shrink(): Promise<void> {
    for (const [id, entry] of this.#entries) {
      if (this.#bytes <= this.#limits.maxBytes && !this.#isTooOld(entry)) return;
      this.#forget(id);
      await removed(entry.path);
    }
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

  #pathOf(keyId: string, id: string): string | undefined {
    return validId.test(id) ? join(this.#folderOf(keyId), `${id}.json`) : undefined;
  }

  /** Ids of keys may have any characters. */
  #folderOf(keyId: string): string {
    return join(this.#folder, createHash('sha256').update(keyId).digest('hex').slice(0, 32));
  }
}

function itemsOfResponse({ input, response }: StoredResponse): readonly InputItem[] {
  return [...input, ...(response.output as readonly InputItem[])];
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
