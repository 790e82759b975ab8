import { mkdtempSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { ResponseObject } from '../../../../src/api/responses/response-object.ts';
import {
  ResponseStore,
  type StoredResponse,
  type StoreLimits,
} from '../../../../src/api/responses/response-store.ts';

const limits: StoreLimits = { maxBytes: 1_000_000, maxAgeMs: 86_400_000 };

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'responses-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

function idOf(number: number): string {
  return `resp_${String(number).padStart(32, '0')}`;
}

function stored(number: number, previous: number | null = null): StoredResponse {
  const response = {
    id: idOf(number),
    previous_response_id: previous === null ? null : idOf(previous),
    output: [{ type: 'message', content: `answer ${number}` }],
  };
  return {
    response: response as object as ResponseObject,
    input: [{ type: 'message', role: 'user', content: `question ${number}` }],
  };
}

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.(json|tmp)$/.test(name),
  );
}

describe('kept responses', () => {
  test('are there for their key alone, also for the next process', async () => {
    const folder = temporaryFolder();
    const store = await ResponseStore.open(folder, limits);
    await store.put('alice', stored(1));
    for (const each of [store, await ResponseStore.open(folder, limits)]) {
      expect(await each.get('alice', idOf(1))).toEqual(stored(1));
      expect(await each.get('bob', idOf(1))).toBeUndefined();
      expect(await each.get('alice', idOf(2))).toBeUndefined();
      expect(each.bytes).toBeGreaterThan(0);
    }
    expect(await store.delete('bob', idOf(1))).toBe(false);
    expect(await store.delete('alice', idOf(1))).toBe(true);
    expect(await store.delete('alice', idOf(1))).toBe(false);
    expect(await store.get('alice', idOf(1))).toBeUndefined();
    expect(store.bytes).toBe(0);
    expect(files(folder)).toEqual([]);
  });

  test('make up a conversation, the oldest first', async () => {
    const store = await ResponseStore.open(temporaryFolder(), limits);
    await store.put('alice', stored(1));
    await store.put('alice', stored(2, 1));
    await store.put('alice', stored(3, 2));
    const items = await store.conversation('alice', idOf(3), 10_000);
    expect(items.map(({ content }) => content)).toEqual([
      ...['question 1', 'answer 1', 'question 2', 'answer 2', 'question 3', 'answer 3'],
    ]);
    await expect(store.conversation('alice', idOf(3), 500)).rejects.toMatchObject({
      code: 'payload_too_large',
    });
    await expect(store.conversation('bob', idOf(3), 10_000)).rejects.toMatchObject({
      ...{ code: 'previous_response_not_found', message: expect.stringContaining(idOf(3)) },
    });
    // The message names the one that is missing.
    await store.delete('alice', idOf(1));
    await expect(store.conversation('alice', idOf(3), 10_000)).rejects.toMatchObject({
      ...{ code: 'previous_response_not_found', message: expect.stringContaining(idOf(1)) },
    });
  });

  test('go on only from an answer', async () => {
    const store = await ResponseStore.open(temporaryFolder(), limits);
    const { response, input } = stored(1);
    for (const status of ['queued', 'in_progress'] as const) {
      await store.put('alice', { response: { ...response, status }, input });
      await expect(store.conversation('alice', idOf(1), 10_000)).rejects.toThrow('has no answer');
    }
  });

  test('have events in files of their own', async () => {
    const folder = temporaryFolder();
    const store = await ResponseStore.open(folder, limits);
    const events = [{ type: 'response.created', sequence_number: 0 }] as never;
    await store.put('alice', stored(1), events);
    await store.put('alice', stored(2));
    for (const each of [store, await ResponseStore.open(folder, limits)]) {
      expect(await each.events('alice', idOf(1))).toEqual(events);
      expect(await each.events('bob', idOf(1))).toBeUndefined();
      expect(await each.events('alice', idOf(2))).toBeUndefined();
      expect(await each.get('alice', idOf(1))).toEqual(stored(1));
    }
    const { bytes } = store;
    await store.delete('alice', idOf(1));
    expect(files(folder)).toHaveLength(1);
    expect(store.bytes).toBeLessThan(bytes / 2);
  });

  test('that refer to each other in a circle are no conversation', async () => {
    const store = await ResponseStore.open(temporaryFolder(), limits);
    await store.put('alice', stored(1, 2));
    await store.put('alice', stored(2, 1));
    await expect(store.conversation('alice', idOf(2), 10_000)).rejects.toThrow('not found');
  });

  test('have a bound, beyond which the oldest are deleted', async () => {
    const folder = temporaryFolder();
    const size = Buffer.byteLength(JSON.stringify(stored(1)));
    const bounded = { ...limits, maxBytes: 5 * size };
    const store = await ResponseStore.open(folder, bounded);
    for (const number of [1, 2, 3, 4, 5, 6, 7]) await store.put('alice', stored(number));
    expect(store.bytes).toBeLessThanOrEqual(bounded.maxBytes);
    expect(files(folder)).toHaveLength(5);
    expect(await store.get('alice', idOf(2))).toBeUndefined();
    expect(await store.get('alice', idOf(3))).toBeDefined();
    // Those of a key with fewer stay.
    await store.put('bob', stored(8));
    await store.put('alice', stored(9));
    expect(await store.get('bob', idOf(8))).toBeDefined();
    expect(await store.get('alice', idOf(4))).toBeUndefined();
    // The bound counts for what is found at the start as well.
    const smaller = await ResponseStore.open(folder, { ...limits, maxBytes: 2 * size });
    expect(files(folder)).toHaveLength(2);
    expect(await smaller.get('alice', idOf(9))).toBeDefined();
  });

  test('are small beside the bound', async () => {
    const size = Buffer.byteLength(JSON.stringify(stored(1)));
    const store = await ResponseStore.open(temporaryFolder(), { ...limits, maxBytes: 3 * size });
    await expect(store.put('alice', stored(1))).rejects.toThrow('too large');
    expect(store.bytes).toBe(0);
  });

  test('are deleted when they are too old', async () => {
    const folder = temporaryFolder();
    const store = await ResponseStore.open(folder, limits);
    await store.put('alice', stored(1));
    const [name = ''] = files(folder);
    const longAgo = Date.now() / 1000 - 2 * 86_400;
    utimesSync(join(folder, name), longAgo, longAgo);
    await ResponseStore.open(folder, limits);
    expect(files(folder)).toEqual([]);
    const brief = await ResponseStore.open(temporaryFolder(), { ...limits, maxAgeMs: -1 });
    await brief.put('alice', stored(1));
    expect(await brief.get('alice', idOf(1))).toBeUndefined();
  });

  test('are not replaced by half of one, and no id leads out of the folder', async () => {
    const folder = temporaryFolder();
    const store = await ResponseStore.open(folder, limits);
    await store.put('alice', stored(1));
    const [name = ''] = files(folder);
    writeFileSync(join(folder, `${name}.tmp`), '{"response"');
    await ResponseStore.open(folder, limits);
    expect(files(folder)).toEqual([name]);
    for (const id of ['../x', 'resp_', `${idOf(1)}/../x`, '']) {
      expect(await store.get('alice', id)).toBeUndefined();
      expect(await store.delete('alice', id)).toBe(false);
    }
    const bad = stored(1);
    await expect(
      store.put('alice', { ...bad, response: { ...bad.response, id: '../x' } }),
    ).rejects.toThrow('not the id of a response');
  });
});
