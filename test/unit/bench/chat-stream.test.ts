import { describe, expect, it } from 'vitest';
import { ChatStreamMeter } from '../../../src/bench/chat-stream.ts';
import { EventStreamReader } from '../../../src/bench/event-stream.ts';
import { RequestError } from '../../../src/bench/failure.ts';

const encoder = new TextEncoder();
const frame = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
const delta = (fields: object) => frame({ choices: [{ index: 0, delta: fields }] });
const content = (text: string) => delta({ content: text });
const usage = (prompt: number, completion: number, cached = 0) =>
  frame({
    choices: [],
    usage: {
      prompt_tokens: prompt,
      completion_tokens: completion,
      prompt_tokens_details: { cached_tokens: cached },
    },
  });
const done = 'data: [DONE]\n\n';

/** Measures reads of the given texts at the given times; the clock starts at 1000. */
function measure(...reads: readonly (readonly [atMs: number, text: string])[]) {
  const meter = new ChatStreamMeter(1000);
  for (const [atMs, text] of reads) meter.read(encoder.encode(text), atMs);
  return meter;
}

describe('EventStreamReader', () => {
  const text = 'data: {"a":"ü€"}\r\n\r\n: ping\n\nevent: error\ndata: x\ndata:y\r\rdata: last\n\n';
  const events = [
    { name: 'message', data: '{"a":"ü€"}' },
    { name: 'error', data: 'x\ny' },
    { name: 'message', data: 'last' },
  ];

  it.each([1, 2, 3, 5, 7, 1000])('reads the same events from pieces of %i bytes', (size) => {
    const bytes = encoder.encode(text);
    const reader = new EventStreamReader();
    const read = [];
    for (let at = 0; at < bytes.length; at += size) {
      read.push(...reader.read(bytes.subarray(at, at + size)));
    }
    expect(read).toEqual(events);
  });

  it('holds back an event that is not finished', () => {
    const reader = new EventStreamReader();
    expect(reader.read(encoder.encode('data: a\n'))).toEqual([]);
    expect(reader.read(encoder.encode('\n'))).toEqual([{ name: 'message', data: 'a' }]);
  });
});

describe('ChatStreamMeter', () => {
  it('measures from the start of the clock to the first delta that holds something', () => {
    const role = delta({ role: 'assistant', content: '' });
    const meter = measure([1010, role], [1050, content('a')], [1060, content('b')], [1070, done]);
    expect(meter.end()).toMatchObject({ ttftMs: 50, totalMs: 70, text: 'ab' });
  });

  it.each([
    ['reasoning', { reasoning_content: 'hm' }],
    ['reasoning of vLLM', { reasoning: 'hm' }],
    ['a tool call', { tool_calls: [{ index: 0, function: { name: 'f' } }] }],
    ['a refusal', { refusal: 'no' }],
  ])('takes %s for a first token', (_what, fields) => {
    const meter = measure([1020, delta(fields)], [1090, content('x') + done]);
    expect(meter.end().ttftMs).toBe(20);
  });

  it('divides the time between two reads among the deltas that came together', () => {
    const meter = measure(
      [1010, content('a')],
      [1040, content('b') + content('c') + content('d')],
      [1044, content('e')],
      [1045, done],
    );
    const { interTokenMs, longestPauseMs } = meter.end();
    expect(interTokenMs).toEqual([10, 10, 10, 4]);
    expect(longestPauseMs).toBe(30);
  });

  it('times a delta by the read that completed it', () => {
    const text = content('b');
    const meter = measure(
      [1010, content('a')],
      [1020, text.slice(0, 20)],
      [1030, text.slice(20)],
      [1031, done],
    );
    expect(meter.end().interTokenMs).toEqual([20]);
  });

  it('counts tokens by usage and knows how many came in each delta', () => {
    const meter = measure(
      [1100, content('a b')],
      [1200, content('c d')],
      [1201, usage(12, 5, 8) + done],
    );
    const { tokens, decodeTokensPerSecond } = meter.end();
    expect(tokens).toEqual({
      ...{ prompt: 12, cached: 8, completion: 5, deltas: 2 },
      countedBy: 'usage',
    });
    // Four tokens after the first delta, in 100 ms.
    expect(decodeTokensPerSecond).toBe(40);
  });

  it('counts deltas, and says so, where there is no usage', () => {
    const { tokens } = measure([1100, content('a') + content('b') + done]).end();
    expect(tokens).toMatchObject({ prompt: undefined, completion: 2, countedBy: 'deltas' });
  });

  it('has no decode rate for a completion that came at once', () => {
    const completion = measure([1100, content('a') + content('b') + usage(1, 2) + done]).end();
    expect(completion.decodeTokensPerSecond).toBeUndefined();
    expect(completion.interTokenMs).toEqual([]);
  });

  it('takes an empty completion for a success without a first token', () => {
    const finish = frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
    expect(measure([1100, finish + usage(3, 0) + done]).end()).toMatchObject({
      ttftMs: undefined,
      totalMs: 100,
      finishReason: 'stop',
    });
  });

  it("passes on llama.cpp's timings", () => {
    const timings = { prompt_per_second: 500, predicted_per_second: 40, cache_n: 3 };
    const meter = measure([1100, content('a') + frame({ choices: [], timings }) + done]);
    expect(meter.end()).toMatchObject({
      serverTimings: { prefillTokensPerSecond: 500, decodeTokensPerSecond: 40 },
      tokens: { cached: 3 },
    });
  });

  const error = { message: 'engine failed', type: 'server_error', code: 'engine_failed' };
  it.each([
    ['an error frame', frame({ error }), { kind: 'error-frame', code: 'engine_failed' }],
    [
      'an error event',
      `event: error\n${frame(error)}`,
      { kind: 'error-frame', code: 'engine_failed' },
    ],
    [
      'a bare error line',
      `error: ${JSON.stringify(error)}\n\n`,
      { kind: 'error-frame', message: 'engine failed' },
    ],
    ['an error frame before [DONE]', frame({ error }) + done, { kind: 'error-frame' }],
    ['what is not JSON', 'data: oops\n\n', { kind: 'bad-stream' }],
    ['no [DONE]', content('b'), { kind: 'no-done' }],
  ])('fails a stream with %s', (_what, text, failure) => {
    const meter = measure([1010, content('a')], [1020, text]);
    let thrown: unknown;
    try {
      meter.end();
    } catch (caught) {
      thrown = caught;
    }
    expect(thrown).toBeInstanceOf(RequestError);
    expect((thrown as RequestError).failure).toMatchObject(failure);
  });
});
