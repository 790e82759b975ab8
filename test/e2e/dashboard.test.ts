/** Every query of the Grafana dashboard, against a server that has served requests. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { wantedBy } from '../support/promql.ts';
import { readSeries, type Series } from '../support/read-metrics.ts';
import { projectFolder } from '../support/shell-process.ts';
import { startSharedServer, tinyModelFile } from '../support/start-server.ts';

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

const path = join(projectFolder, 'docs/grafana/dashboard.json');
const board = JSON.parse(readFileSync(path, 'utf8')) as { readonly panels: readonly Panel[] };
const queries = board.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr, legendFormat }) => ({ title, expr, legendFormat })),
);

const labels = { model_name: 'tiny', engine: '0' };
let series: Series;
/** Every one generates 8 tokens. */
let chatCount = 0;

beforeAll(async () => {
  const server = await startSharedServer({ modelPath: tinyModelFile() });
  const scrape = async () =>
    readSeries(await (await fetch(`${server.url}/metrics?format=prometheus`)).text());
  const chat = async (fields: object) => {
    chatCount += 1;
    await (await server.chat({ max_tokens: 8, ignore_eos: true, ...fields })).text();
  };
  await chat({});
  await (await server.chat({ temperature: -9 })).text();
  // The time between tokens exists where a stream has more than one chunk: on a busy machine all tokens may share one.
  do {
    await chat({ stream: true });
    series = await scrape();
  } while (!series.value('vllm:inter_token_latency_seconds_count', labels) && chatCount < 100);
});

test('the dashboard asks for something', () => {
  expect(queries.length).toBeGreaterThan(30);
});

describe('a query of the dashboard names only what is there', () => {
  // What single keys do is not shown to everyone; the unit tests of those series know their labels.
  const open = queries.filter(({ expr }) => !expr.includes('gateway_key_'));

  test.each(open)('$title: $expr', ({ expr, legendFormat }) => {
    const wanted = wantedBy(expr);
    expect(wanted.length).toBeGreaterThan(0);
    for (const { name, labels } of wanted) {
      const [sample] = series.all(name);
      expect(sample, name).toBeDefined();
      expect(Object.keys(sample?.labels ?? {})).toEqual(expect.arrayContaining([...labels]));
    }
    for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
      expect(
        wanted.some(
          ({ labels, name }) =>
            labels.includes(label) || series.all(name)[0]?.labels[label] !== undefined,
        ),
      ).toBe(true);
    }
  });
});

test('tokens, times and steps of a real engine are counted', () => {
  const value = (name: string) => series.value(name, labels) ?? Number.NaN;
  const tokenCount = 8 * chatCount;
  expect(value('vllm:generation_tokens_total')).toBe(tokenCount);
  expect(value('vllm:request_generation_tokens_sum')).toBe(tokenCount);
  expect(value('vllm:inter_token_latency_seconds_count')).toBeGreaterThan(0);
  expect(value('vllm:time_to_first_token_seconds_count')).toBe(chatCount);
  expect(value('vllm:request_decode_time_seconds_sum')).toBeGreaterThan(0);
  // The second request found what the first one had computed.
  expect(value('vllm:prefix_cache_hits_total')).toBeGreaterThan(0);
  expect(series.value('gateway_engine_steps_total')).toBeGreaterThanOrEqual(tokenCount);
  expect(series.value('gateway_engine_step_seconds_total')).toBeGreaterThan(0);
});
