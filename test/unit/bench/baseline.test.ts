import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compareWithBaseline, readBaseline } from '../../../src/bench/baseline.ts';
import type { RunRecord } from '../../../src/bench/record.ts';

const folder = mkdtempSync(join(tmpdir(), 'lgi-baseline-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function fileWith(text: string): string {
  const path = join(folder, 'baseline.json');
  writeFileSync(path, text);
  return path;
}

/** The part of a run that is compared. */
function run(fields: object = {}) {
  return {
    ...{
      target: 'server',
      workload: 'unique',
      prompt: null,
      concurrency: 4,
      rate: null,
      max_tokens: 128,
    },
    ...{ prompt_tokens_wanted: 64, prefix_tokens_wanted: null, turns: null, ignore_eos: false },
    ttft: { p50: 0.1, p95: 0.2 },
    throughput_tokens_per_sec: 100,
    ...fields,
  } as unknown as RunRecord;
}

describe('readBaseline', () => {
  it.each([
    ['no JSON', '{', /it is not valid JSON/],
    ['something else', '[]', /is not a report of this version/],
    ['a report of another version', '{"schema_version":2,"runs":[]}', /of this version/],
  ])('refuses %s with exit code 2', (_what, text, message) => {
    const read = () => readBaseline(fileWith(text));
    expect(read).toThrow(message);
    expect(read).toThrow(expect.objectContaining({ exitCode: 2 }));
  });

  it('says that a file is not there', () => {
    expect(() => readBaseline(join(folder, 'none.json'))).toThrow(/there is no such file/);
  });

  it("takes the server's runs and model", () => {
    const runs = [run(), { ...run(), target: 'peer' }, null];
    const targets = [null, { name: 'peer', model: 'p' }, { name: 'server', model: 'm' }];
    const record = { schema_version: 1, runs, targets };
    const baseline = readBaseline(fileWith(JSON.stringify(record)));
    expect(baseline.runs).toHaveLength(1);
    expect(baseline.model).toBe('m');
  });
});

describe('compareWithBaseline', () => {
  const compare = (before: object, after: object) =>
    compareWithBaseline({ path: 'b.json', model: 'm', runs: [{ ...run(before) }] }, 'm', [
      run(after),
    ]);

  it('counts a longer time and a lower rate as worse', () => {
    const { changes } = compare(
      {},
      { ttft: { p50: 0.15, p95: 0.1 }, throughput_tokens_per_sec: 80 },
    );
    expect(changes.map(({ metric, worsePercent }) => [metric, Math.round(worsePercent)])).toEqual([
      ['ttft p50', 50],
      ['ttft p95', -50],
      ['throughput_tokens_per_sec', 20],
    ]);
    expect(changes[0]?.run).toBe('unique, concurrency 4, 64 tokens in');
  });

  it('compares only runs of the same kind', () => {
    const { changes, remarks } = compare({ concurrency: 8 }, {});
    expect(changes).toEqual([]);
    expect(remarks).toEqual(['it has no such run: unique, concurrency 4, 64 tokens in']);
  });

  it('remarks on another model', () => {
    const { remarks } = compareWithBaseline({ path: 'b.json', model: 'old', runs: [] }, 'new', []);
    expect(remarks).toEqual(['its model was "old", this one is "new"']);
  });

  it('leaves out numbers that one side lacks', () => {
    const { changes } = compare({ ttft: { p50: null } }, {});
    expect(changes.map(({ metric }) => metric)).toEqual(['throughput_tokens_per_sec']);
  });
});
