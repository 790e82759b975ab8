import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { percentileOf } from '../../../src/bench/statistics.ts';
import { UsageError } from '../../../tools/fixtures/bench-flags.ts';
import { mixNames, mixOf } from '../../../tools/traffic-bench/mixes.ts';
import { parseOptions } from '../../../tools/traffic-bench/options.ts';
import { ratioOf, renderChart, renderTable } from '../../../tools/traffic-bench/report.ts';
import { type MeasuredRun, SavedRuns } from '../../../tools/traffic-bench/saved-runs.ts';
import { type Score, scoreOf } from '../../../tools/traffic-bench/score.ts';

const score: Score = {
  tokensPerSecond: 10,
  requestsPerSecond: 1,
  firstTokenP50: 100,
  firstTokenP90: 200,
  firstTokenP99: 300,
  gapP50: 20,
  gapP99: 50,
  cachedShare: 0.5,
  requestCount: 4,
  failureCount: 0,
};

describe('a mix', () => {
  test.each(mixNames)('%s draws the same conversations from the same seed', (name) => {
    const mix = mixOf(name);
    expect(mix.draw('a', 3)).toEqual(mix.draw('a', 3));
    expect(mix.draw('a', 3)).not.toEqual(mix.draw('b', 3));
    expect(new Set(mix.draw('a', 3).map(({ turns }) => turns[0]?.userText)).size).toBe(3);
  });

  test.each(mixNames)('%s fits its context', (name) => {
    const { contextLength, draw } = mixOf(name);
    for (const { systemText = '', turns } of draw('size', 50)) {
      const wordCount = [systemText, ...turns.map(({ userText }) => userText)]
        .join(' ')
        .split(' ').length;
      const completion = turns.reduce((sum, turn) => sum + turn.completionTokenCount, 0);
      expect(1.3 * wordCount + completion + 64).toBeLessThan(contextLength);
    }
  });

  test('chat: all conversations of a round begin with one system prompt', () => {
    const conversations = mixOf('chat').draw('a', 4);
    expect(new Set(conversations.map(({ systemText }) => systemText)).size).toBe(1);
    expect(mixOf('chat').draw('b', 1)[0]?.systemText).not.toBe(conversations[0]?.systemText);
  });

  test('editor: half of the requests are given up', () => {
    const turns = mixOf('editor')
      .draw('a', 400)
      .flatMap((conversation) => conversation.turns);
    const leaving = turns.filter(({ leavesAfterMs }) => leavesAfterMs !== undefined);
    expect(leaving.length).toBeGreaterThan(150);
    expect(leaving.length).toBeLessThan(250);
  });
});

describe('a score', () => {
  test('counts what was answered to its end, and the cache behind first turns', () => {
    const sample = { firstTokenMs: 10, gapsMs: [1, 2, 3], completionTokenCount: 4 };
    const found = scoreOf({
      samples: [
        { ...sample, turn: 1, promptTokenCount: 100, cachedTokenCount: 90 },
        { ...sample, turn: 2, promptTokenCount: 100, cachedTokenCount: 50, firstTokenMs: 30 },
      ],
      seconds: 2,
      leftCount: 1,
      failures: ['status: no'],
    });
    expect(found).toMatchObject({
      tokensPerSecond: 4,
      requestsPerSecond: 1,
      firstTokenP50: 10,
      firstTokenP90: 30,
      gapP50: 2,
      gapP99: 3,
      cachedShare: 0.5,
      requestCount: 2,
      failureCount: 1,
    });
  });

  test('percentiles are measured values', () => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect([0, 50, 90, 99, 100].map((percent) => percentileOf(values, percent))).toEqual([
      1, 50, 90, 99, 100,
    ]);
    expect(percentileOf([], 50)).toBeNaN();
  });
});

describe('saved runs', () => {
  function newFile(): string {
    const folder = mkdtempSync(join(tmpdir(), 'lgi-traffic-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    return join(folder, 'runs.jsonl');
  }
  const run: MeasuredRun = { row: 'chat, 4 users', contestant: 'ours', round: 0, score };

  test('go on where they were cut', () => {
    const path = newFile();
    const first = new SavedRuns(path, { slotCount: 4 });
    first.add({ ...run, score: { ...score, cachedShare: Number.NaN } });
    writeFileSync(path, `${readFileSync(path, 'utf8')}{"row": "cha`);
    const second = new SavedRuns(path, { slotCount: 4 });
    expect(second.runs).toHaveLength(1);
    expect(second.find('chat, 4 users', 'ours', 0)?.score.cachedShare).toBeNaN();
    expect(second.find('chat, 4 users', 'ours', 1)).toBeUndefined();
    second.add({ ...run, round: 1 });
    expect(new SavedRuns(path, { slotCount: 4 }).runs).toHaveLength(2);
  });

  test('are refused under other conditions', () => {
    const path = newFile();
    new SavedRuns(path, { slotCount: 4 }).add(run);
    expect(() => new SavedRuns(path, { slotCount: 8 })).toThrow('was saved with other options');
  });
});

describe('the report', () => {
  const runOf = (contestant: string, round: number, tokensPerSecond: number): MeasuredRun => ({
    row: 'chat, 4 users',
    contestant,
    round,
    score: { ...score, tokensPerSecond },
  });
  const runs = [
    runOf('ours', 0, 12),
    runOf('llama-server', 0, 10),
    runOf('ours', 1, 30),
    runOf('llama-server', 1, 20),
    runOf('ours', 2, 22),
    runOf('llama-server', 2, 20),
  ];

  test('has the median of the ratios within rounds', () => {
    expect(ratioOf(runs, 'ours', 'tokensPerSecond')).toBeCloseTo(1.2);
    const [heading, , ours, peer] = renderTable(runs).split('\n');
    expect(heading).toContain('first token p50, ms');
    expect(ours).toMatch(/^\| chat, 4 users: ours +\| 22\.0 \(1\.20\) \|/);
    expect(peer).toMatch(/^\| chat, 4 users: llama-server \| +20\.0 \|/);
  });

  test('has a chart', () => {
    expect(renderChart(runs)).toContain('chat, 4 users, ours: tokens per second 1.2 ratio');
  });
});

describe('the options', () => {
  test('name gateways with settings and other checkouts', () => {
    const options = parseOptions(['--own', 'ours', '--own', 'slow,STEP_TARGET_MS=1000,KV_LAYOUT=']);
    expect(options?.ownServers).toEqual([
      { name: 'ours', program: undefined, env: {} },
      { name: 'slow', program: undefined, env: { STEP_TARGET_MS: '1000', KV_LAYOUT: '' } },
    ]);
    expect(parseOptions(['--help'])).toBeNull();
  });

  test.each([
    [['--mixes', 'chats'], /--mixes takes chat, retrieval, agents, editor, received "chats"/],
    [['--users', '0'], /--users takes whole numbers from 1/],
    [['--weights', 'Q9'], /--weights takes F32, F16, /],
    [['--own', 'llama-server'], /--own takes NAME/],
    [['--own', 'a@/nowhere/cli.js'], /does not exist/],
    [['--own', 'a', '--own', 'a'], /each name once/],
    [['--loads', '50', '--no-peer'], /--loads needs llama-server/],
  ])('refuse %j', (argv, message) => {
    expect(() => parseOptions(argv)).toThrow(UsageError);
    expect(() => parseOptions(argv)).toThrow(message);
  });
});
