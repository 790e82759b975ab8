import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { toLine, type Usage } from '../../../src/access/usage/usage-lines.ts';
import { runUsage } from '../../../src/cli/usage-command.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lgi-usage-'));
  writeFileSync(join(folder, 'a.jsonl'), [used('alice', 23), used('bob', 24)].join(''));
  writeFileSync(join(folder, 'b.jsonl'), [used('alice', 24), '{"day":"2026-11-2'].join(''));
  writeFileSync(join(folder, 'a.jsonl.partial'), used('alice', 24));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function used(keyId: string, day: number): string {
  const usage: Usage = {
    day: `2026-11-${day}`,
    keyId,
    requestCount: 1,
    errorCount: 0,
    promptTokenCount: 1000,
    cachedTokenCount: 4,
    completionTokenCount: 5,
  };
  return toLine(usage);
}

async function run(...argv: string[]) {
  const said = { out: '', err: '' };
  const code = await runUsage({
    argv,
    defaultFolder: folder,
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
  });
  return { code, ...said };
}

describe('usage', () => {
  test('shows the sums of each key and of all', async () => {
    const { code, out, err } = await run();
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out.split('\n')).toEqual([
      '| key   | requests | errors | prompt tokens | cached tokens | completion tokens |',
      '| ----- | -------: | -----: | ------------: | ------------: | ----------------: |',
      '| alice |        2 |      0 |          2000 |             8 |                10 |',
      '| bob   |        1 |      0 |          1000 |             4 |                 5 |',
      '| total |        3 |      0 |          3000 |            12 |                15 |',
      '',
    ]);
  });

  test('answers with JSON, by day too', async () => {
    const { out } = await run('--json', '--key', 'alice');
    const one = { requests: 1, errors: 0, prompt_tokens: 1000, cached_tokens: 4 };
    const two = { requests: 2, errors: 0, prompt_tokens: 2000, cached_tokens: 8 };
    expect(JSON.parse(out)).toEqual({
      folder,
      data: [
        { day: '2026-11-23', key_id: 'alice', ...one, completion_tokens: 5 },
        { day: '2026-11-24', key_id: 'alice', ...one, completion_tokens: 5 },
      ],
      keys: [{ key_id: 'alice', ...two, completion_tokens: 10 }],
      total: { ...two, completion_tokens: 10 },
    });
  });

  test.each([
    [['--day', '2026-11-23'], 1],
    [['--from', '2026-11-24'], 2],
    [['--to', '2026-11-23'], 1],
    [['--day', '2026-11-25'], 0],
  ])('takes %j', async (argv, requests) => {
    const { out } = await run('--json', ...argv);
    expect(JSON.parse(out).total.requests).toBe(requests);
  });

  test.each([
    [['--day', '2026-13-01'], '--day must be a day like 2026-11-24, received "2026-13-01"'],
    [['--day', '2026-11-24', '--from', '2026-11-24'], '--day must stand alone'],
    [['--from', '2026-11-25', '--to', '2026-11-24'], '--from must not be after the last day'],
    [['--key', 'a b'], '--key must be 1 to 64 letters'],
    [['--days', '1'], 'unknown flag --days, did you mean --day?'],
    [['today'], 'unexpected argument "today"'],
  ])('refuses %j', async (argv, reason) => {
    const { code, out, err } = await run(...argv);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(`Error: ${reason}`);
  });

  test('does not confuse a missing folder with a folder without usage', async () => {
    const missing = join(folder, 'nowhere');
    expect(await run('--folder', missing)).toEqual({
      code: 1,
      out: '',
      err: `Error: there is no folder ${missing}\n`,
    });
    rmSync(folder, { recursive: true });
    const { code, out, err } = await run('--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ data: [], keys: [], total: { requests: 0 } });
    expect(err).toContain('nothing has been recorded');
  });

  test('shows its flags', async () => {
    const { code, out } = await run('--help', '--day', 'x');
    expect(code).toBe(0);
    for (const flag of ['--day', '--from', '--to', '--key', '--folder', '--json']) {
      expect(out).toContain(`  ${flag} `);
    }
  });
});
