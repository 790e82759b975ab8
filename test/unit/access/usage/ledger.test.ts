import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Ledger, readLedgers } from '../../../../src/access/usage/ledger.ts';
import {
  fromLine,
  toLine,
  type Usage,
  UsageTotals,
} from '../../../../src/access/usage/usage-lines.ts';

const logger = pino({ level: 'silent' });
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lgi-usage-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const one = (fields: Partial<Usage> = {}): Usage => ({
  day: '2026-11-24',
  keyId: 'alice',
  requestCount: 1,
  errorCount: 0,
  promptTokenCount: 10,
  cachedTokenCount: 4,
  completionTokenCount: 5,
  ...fields,
});

const place = () => ({ folder, instance: 'box' });
const path = () => join(folder, 'box.jsonl');

describe('a line', () => {
  test('gives back what was written, and leaves out zeros', () => {
    const line = toLine(one({ errorCount: 0 }));
    expect(line).not.toContain('errors');
    expect(fromLine(line.trimEnd())).toEqual(one());
  });

  test.each([
    '',
    '{',
    '[]',
    'null',
    '{"day":"today","key":"a"}',
    '{"day":"2026-11-24"}',
    '{"day":"2026-11-24","key":"a","requests":-1}',
    '{"day":"2026-11-24","key":"a","prompt":1.5}',
    '{"day":"2026-11-24","key":"a","prompt":"1"}',
  ])('%j says nothing', (line) => {
    expect(fromLine(line)).toBeUndefined();
  });
});

describe('totals', () => {
  test('add up by day and key', () => {
    const totals = new UsageTotals();
    totals.add(one());
    totals.add(one({ errorCount: 1 }));
    totals.add(one({ keyId: 'bob' }));
    totals.add(one({ day: '2026-11-23' }));
    expect(totals.list()).toEqual([
      one({ day: '2026-11-23' }),
      one({
        requestCount: 2,
        errorCount: 1,
        promptTokenCount: 20,
        cachedTokenCount: 8,
        completionTokenCount: 10,
      }),
      one({ keyId: 'bob' }),
    ]);
  });
});

describe('a ledger', () => {
  test('has on disk what it acknowledged', async () => {
    const ledger = await Ledger.open(place(), logger);
    await Promise.all(Array.from({ length: 50 }, () => ledger.record(one())));
    // Not closed: as if the process had been killed here.
    expect(await readLedgers(folder)).toEqual([
      one({
        requestCount: 50,
        promptTokenCount: 500,
        cachedTokenCount: 200,
        completionTokenCount: 250,
      }),
    ]);
    await ledger.close();
  });

  test('goes on where the last one ended, without the line that was cut', async () => {
    const first = await Ledger.open(place(), logger);
    await first.record(one());
    await first.close();
    appendFileSync(path(), '{"day":"2026-11-24","key":"al');
    const second = await Ledger.open(place(), logger);
    await second.record(one());
    await second.close();
    expect(await second.readAll()).toEqual([
      one({
        requestCount: 2,
        promptTokenCount: 20,
        cachedTokenCount: 8,
        completionTokenCount: 10,
      }),
    ]);
  });

  test('becomes short again, and stays right, while requests go on', async () => {
    writeFileSync(path(), toLine(one()).repeat(50_000));
    const ledger = await Ledger.open(place(), logger);
    expect(readFileSync(path(), 'utf8').split('\n')).toHaveLength(2);
    await ledger.record(one());
    await ledger.close();
    expect(await readLedgers(folder)).toMatchObject([{ requestCount: 50_001 }]);
  });

  test('leaves a file with invalid lines as it is', async () => {
    writeFileSync(path(), `nonsense\n${toLine(one()).repeat(50_000)}`);
    const ledger = await Ledger.open(place(), logger);
    await ledger.record(one());
    expect(await ledger.readAll()).toMatchObject([{ requestCount: 50_001 }]);
    await ledger.close();
    expect(readFileSync(path(), 'utf8')).toContain('nonsense');
  });

  test('writes what it could not write with the next request, once', async () => {
    const ledger = await Ledger.open(place(), logger);
    await ledger.record(one());
    const probe = await open(path());
    const handles = Object.getPrototypeOf(probe) as typeof probe;
    await probe.close();
    // Fails when the line is in the file already, as a disk does that cannot keep it.
    vi.spyOn(handles, 'datasync').mockRejectedValueOnce(new Error('no space'));
    await expect(ledger.record(one())).rejects.toThrow('no space');
    expect(await readLedgers(folder)).toMatchObject([{ requestCount: 1 }]);
    await ledger.record(one());
    expect(await readLedgers(folder)).toMatchObject([{ requestCount: 3 }]);
    await ledger.close();
  });

  test('cuts off only what is behind the last line break, whatever the bytes before', async () => {
    const bad = Buffer.from([0xff, 0xfe, 0x0a]);
    const good = Buffer.from(toLine(one()));
    writeFileSync(path(), Buffer.concat([bad, good, Buffer.from('{"day')]));
    await (await Ledger.open(place(), logger)).close();
    expect(readFileSync(path())).toEqual(Buffer.concat([bad, good]));
  });

  test('sums over instances', async () => {
    for (const instance of ['a', 'b']) {
      const ledger = await Ledger.open({ folder, instance }, logger);
      await ledger.record(one());
      await ledger.close();
    }
    expect(await readLedgers(folder)).toMatchObject([{ requestCount: 2 }]);
    expect(await readLedgers(join(folder, 'nowhere'))).toEqual([]);
  });
});
