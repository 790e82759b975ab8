import { describe, expect, it } from 'vitest';
import type { BaselineComparison } from '../../../src/bench/baseline.ts';
import type { Cell } from '../../../src/bench/cell.ts';
import { barChart, escapeHtml, scatterChart } from '../../../src/bench/chart.ts';
import type { ChatOutcome } from '../../../src/bench/client.ts';
import type { Failure } from '../../../src/bench/failure.ts';
import type { LoadRun } from '../../../src/bench/load.ts';
import type { BenchResult, TargetResult } from '../../../src/bench/measure.ts';
import { parseBenchOptions } from '../../../src/bench/options.ts';
import { toRecord } from '../../../src/bench/record.ts';
import { renderHtml } from '../../../src/bench/report-html.ts';
import { renderText } from '../../../src/bench/report-text.ts';
import { statsOf } from '../../../src/bench/statistics.ts';
import { summarise } from '../../../src/bench/summary.ts';

const hostile = '</script><img src=x onerror=alert(1)>"\u001b[31m';
const cells = [1, 4].map(
  (concurrency): Cell => ({ load: { kind: 'closed', concurrency }, promptTokenCount: 64 }),
);
const failure: Failure = { kind: 'status', status: 429, code: 'rate_limit', message: hostile };

/** A completion of five tokens: the first after `ttftMs`, then one each 10 ms. */
function completed(ttftMs: number): ChatOutcome {
  return {
    ok: true,
    startedAtMs: 0,
    completion: {
      ttftMs,
      totalMs: ttftMs + 40,
      interTokenMs: [10, 10, 10, 10],
      longestPauseMs: 10,
      decodeTokensPerSecond: 100,
      tokens: { prompt: 64, cached: 14, completion: 5, deltas: 5, countedBy: 'usage' },
      finishReason: 'length',
      text: hostile,
      serverTimings: { prefillTokensPerSecond: 900, decodeTokensPerSecond: 110 },
    },
  };
}

function roundOf(ttftsMs: readonly number[], failedCount = 0, clientBusyRatio = 0.1): LoadRun {
  const outcomes: ChatOutcome[] = [
    ...ttftsMs.map(completed),
    ...Array.from({ length: failedCount }, () => ({
      ...({ ok: false, startedAtMs: 0, endedAtMs: 5, failure } as const),
    })),
  ];
  const samples = outcomes.map((outcome, index) => ({ turn: 1, startMs: index * 10, outcome }));
  return { samples, wallMs: 500, peakInFlightCount: 2, clientBusyRatio };
}

function target(name: 'server' | 'peer', ttftsMs: readonly number[]): TargetResult {
  const [first, second] = cells;
  if (first === undefined || second === undefined) throw new Error('two cells are needed');
  return {
    name,
    url: 'http://127.0.0.1:8000/base',
    modelId: hostile,
    notes: [`note ${hostile}`],
    gateway: [
      { path: '/ping', latencyMs: statsOf([1, 2, 3]), failures: [], isAbsent: false },
      {
        path: '/health',
        latencyMs: statsOf([]),
        failures: [{ kind: 'status', status: 404, message: 'gone', count: 3 }],
        isAbsent: true,
      },
    ],
    runs: [
      summarise(first, [roundOf(ttftsMs), roundOf(ttftsMs)]),
      summarise(second, [roundOf(ttftsMs, 1), roundOf(ttftsMs)]),
    ],
  };
}

function resultWith(...targets: TargetResult[]): BenchResult {
  const argv = ['--url', 'http://127.0.0.1:8000/base', '--api-key', 'sk-secret'];
  const sweep = ['--concurrency', '1,4', '--prompt-tokens', '64', '--seed', '9'];
  return {
    startedAt: new Date('2026-01-02T03:04:05Z'),
    options: parseBenchOptions([...argv, ...sweep, '--model', hostile]),
    targets,
    isInterrupted: false,
  };
}

const single = resultWith(target('server', [100, 200]));
const double = resultWith(target('server', [100, 200]), target('peer', [50, 400]));
const baseline: BaselineComparison = {
  path: hostile,
  changes: [{ run: 'unique', metric: 'ttft p50', before: 0.1, after: 0.2, worsePercent: 100 }],
  remarks: [hostile],
};

describe('the JSON report', () => {
  const stats = ['min', 'max', 'mean', 'p50', 'p95', 'p99', 'count'];

  it("keeps the keys of the Python gateway's benchmark, in its units", () => {
    const { gateway, inference } = toRecord(single, undefined);
    expect(gateway?.ping).toMatchObject({ min: 0.001, max: 0.003, p50: 0.002, count: 3 });
    expect(Object.keys(gateway?.health ?? {})).toEqual(expect.arrayContaining(stats));
    for (const key of ['ttft', 'tokens_per_sec', 'total_latency'] as const) {
      expect(Object.keys(inference?.[key] ?? {})).toEqual(stats);
    }
    expect(inference).toMatchObject({
      ttft: { min: 0.1, max: 0.2, count: 4 },
      total_latency: { p50: 0.14 },
      requests_total: 4,
      requests_success: 4,
      requests_failed: 0,
      wall_time: 1,
      concurrency: 1,
    });
    // 5 tokens in 0.14 s and 0.24 s.
    expect(inference?.tokens_per_sec.max).toBeCloseTo(5 / 0.14, 6);
  });

  it('sums tokens as the server counted them, and rates them over the wall time', () => {
    const [run] = toRecord(single, undefined).runs;
    expect(run).toMatchObject({
      prompt_tokens: 4 * 64,
      cached_tokens: 4 * 14,
      completion_tokens: 4 * 5,
      throughput_tokens_per_sec: 20,
      requests_per_sec: 4,
      tokens_counted_by: 'usage',
      server_timings: { decode_tokens_per_sec: { p50: 110 } },
    });
    // Only the 50 tokens that were not cached were computed.
    expect(run?.prefill_tokens_per_sec).toMatchObject({ max: 500, min: 250 });
  });

  it('has no prefill rate where requests waited for each other', () => {
    expect(toRecord(single, undefined).runs[1]?.prefill_tokens_per_sec.count).toBe(0);
  });

  it('breaks failures down and counts none of them as a success', () => {
    expect(toRecord(single, undefined).runs[1]).toMatchObject({
      requests_total: 5,
      requests_success: 4,
      requests_failed: 1,
      error_rate: 0.2,
      ttft: { count: 4 },
      errors: [{ kind: 'status', status: 429, code: 'rate_limit', count: 1 }],
    });
  });

  it('divides the server by its peer, round by round', () => {
    const { comparison, runs } = toRecord(double, undefined);
    expect(runs.map(({ target: name }) => name)).toEqual(['server', 'server', 'peer', 'peer']);
    expect(comparison?.[0]).toEqual({
      ...{ concurrency: 1, rate: null, prompt_tokens_wanted: 64 },
      server_by_peer: { throughput: 1, decode_tokens_per_sec: 1, ttft: 2, inter_token: 1 },
    });
  });

  it('says how it was measured, without the key', () => {
    const record = toRecord(single, undefined);
    expect(record).toMatchObject({
      schema_version: 1,
      seed: 9,
      started_at: '2026-01-02T03:04:05.000Z',
      interrupted: false,
      environment: { core_count: expect.any(Number), node: process.version },
    });
    expect(record.command).toContain("--api-key '***'");
    expect(JSON.stringify(record)).not.toContain('sk-secret');
  });
});

describe('the text report', () => {
  it("has the blocks of the Python gateway's benchmark", () => {
    const text = renderText(single, undefined);
    expect(text).toContain(
      '=== Gateway Overhead ===\n/ping latency:    2.0ms (p50), 3.0ms (p95), 3.0ms (p99)\n' +
        '/health latency:  not there (404)\n',
    );
    expect(text).toContain(
      '=== Inference Performance (concurrency=1, requests=4, prompt-tokens=64) ===\n' +
        'Time to first token:  100.0ms (p50), 200.0ms (p95), 200.0ms (p99)\n',
    );
    expect(text).toMatch(/^Tokens\/sec: +28\.3 \(mean\), 20\.8 \(p50\), 20\.8 \(min\)$/m);
    expect(text).toMatch(/^Total latency: +0\.14s \(p50\), 0\.24s \(p95\), 0\.24s \(p99\)$/m);
    expect(text).toContain('Requests: 5 total, 4 success, 1 failed\n  1 x status 429 rate_limit: ');
    expect(text).toContain('Total time: 1.00s\n');
  });

  it('shows a sweep as a table, and a peer beside it', () => {
    const text = renderText(double, baseline);
    expect(text).toMatch(/^=== Sweep ===\n\| load /m);
    expect(text).toMatch(/^=== Peer: Sweep ===\n\| load /m);
    expect(text).toMatch(/^\| concurrency=4, 64 tokens in \| +1\.000 \| +1\.000 \| +2\.000 \|/m);
    expect(text).toMatch(/\| ttft p50 \| +0\.1000 \| 0\.2000 \| 100\.0% worse \|/);
  });

  it('warns where the client was too busy to measure', () => {
    const { cell } = single.targets[0]?.runs[0] ?? {};
    if (cell === undefined) throw new Error('there is no run');
    const busy = summarise(cell, [roundOf([100]), roundOf([100], 0, 0.93)]);
    const result = resultWith({ ...target('server', [100]), runs: [busy] });
    const warning = 'the client was busy 93% of the time';
    expect(renderText(result, undefined)).toContain(warning);
    expect(renderHtml(result, undefined)).toContain(warning);
    expect(toRecord(result, undefined).inference?.client_busy_ratio).toBe(0.93);
    expect(renderText(single, undefined)).not.toContain('the client was at work');
  });

  it('replaces control characters', () => {
    expect(renderText(double, baseline)).not.toContain('\u001b');
  });

  it('says that it was interrupted', () => {
    expect(renderText({ ...single, isInterrupted: true }, undefined)).toContain('Interrupted');
  });
});

describe('the HTML report', () => {
  const html = renderHtml(double, baseline);

  it('escapes every text that is not its own', () => {
    expect(html).not.toContain('<img');
    expect(html).not.toContain('</script>');
    // Model, notes, error message, command and baseline.
    expect(html.match(/&lt;img src=x/g)?.length).toBeGreaterThanOrEqual(8);
  });

  it('needs no other file and runs no script', () => {
    expect(html).not.toMatch(/<script|<link|@import|url\(|(src|href)=(?!x)/);
    expect(html).toContain('prefers-color-scheme: dark');
  });

  it('has its tags in pairs', () => {
    for (const tag of ['html', 'body', 'svg', 'figure', 'table', 'tr', 'td', 'text', 'rect']) {
      const opened = html.match(new RegExp(`<${tag}[ >]`, 'g'))?.length ?? 0;
      const selfClosed = html.match(new RegExp(`<${tag}[^>]*/>`, 'g'))?.length ?? 0;
      const closed = html.match(new RegExp(`</${tag}>`, 'g'))?.length ?? 0;
      expect({ tag, count: opened - selfClosed }).toEqual({ tag, count: closed });
    }
  });

  it('charts both servers side by side', () => {
    const captions = [...html.matchAll(/<figcaption>([^<]*)/g)].map(([, caption]) => caption);
    expect(captions).toEqual([
      'Time to first token',
      'Inter-token time',
      'Throughput of all requests',
      'Decode rate of one request, p50',
      'Latency over time, concurrency=1, 64 tokens in',
      'Latency over time, concurrency=4, 64 tokens in',
    ]);
    expect(html).toContain('<title>c=4: server p95 200 ms</title>');
    expect(html).toContain('<title>c=4: peer p95 400 ms</title>');
    expect(html).toContain('<circle class="failed"');
  });

  it('shows the command without the key', () => {
    expect(html).toContain('--api-key &#39;***&#39;');
    expect(html).not.toContain('sk-secret');
  });
});

describe('charts', () => {
  it('draw bars in proportion, and none for what is missing', () => {
    const svg = barChart({
      title: 'T',
      unit: 'ms',
      groups: [['a'], ['b']],
      series: [{ name: 's', className: 'server', values: [100, null] }],
    });
    // 100 is the top of the axis, so the bar has the height of the plot.
    expect(svg.match(/<rect class="server" x=/g)).toHaveLength(1);
    expect(svg).toContain('height="212.0"');
  });

  it('draw nothing but axes for nothing', () => {
    const svg = scatterChart({ title: 'T', xUnit: 's', yUnit: 's', points: [] });
    expect(svg).not.toContain('<circle');
    expect(svg).not.toContain('NaN');
  });

  it('escape quotes too', () => {
    expect(escapeHtml(`<&>"'`)).toBe('&lt;&amp;&gt;&quot;&#39;');
  });
});
