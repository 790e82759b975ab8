import { describe, expect, it } from 'vitest';
import { createLogger, neutralise } from '../../../src/log/log.ts';

function capture(format: 'text' | 'json', level: 'debug' | 'info' = 'info') {
  const lines: string[] = [];
  return { lines, logger: createLogger({ level, format }, { write: (line) => lines.push(line) }) };
}

describe('json', () => {
  it('writes ts, level as a word and msg beside the fields', () => {
    const { lines, logger } = capture('json');
    logger.warn({ port: 8000 }, 'listening');
    expect(lines).toHaveLength(1);
    const record = JSON.parse(lines[0] ?? '');
    expect(record).toEqual({
      ts: expect.any(String),
      level: 'warn',
      port: 8000,
      msg: 'listening',
    });
    expect(new Date(record.ts).toISOString()).toBe(record.ts);
  });

  it('stays one line whatever is logged', () => {
    const { lines, logger } = capture('json');
    logger.info({ value: 'a\nb' }, 'c\nd');
    expect(lines.join('').trimEnd()).not.toContain('\n');
  });
});

describe('text', () => {
  it.each([
    [{ port: 8000, host: '::1' }, 'listening', '[gateway] listening port=8000 host=::1\n'],
    [{ name: 'a b' }, 'x', '[gateway] x name="a b"\n'],
    [{ list: [1, 'a'], empty: '' }, 'x', '[gateway] x list=[1,"a"] empty=""\n'],
    [{ text: 'a"b=c' }, 'x', '[gateway] x text="a\\"b=c"\n'],
    [{ evil: 'a\n[gateway] forged' }, 'x', '[gateway] x evil="a\\n[gateway] forged"\n'],
    [{}, 'a\r\n\u001b[31mred\u202e', '[gateway] a\\r\\n\\u001b[31mred\\u202e\n'],
  ])('shows %j', (fields, message, line) => {
    const { lines, logger } = capture('text');
    logger.info(fields, message);
    expect(lines).toEqual([line]);
  });

  it('names any level but info', () => {
    const { lines, logger } = capture('text');
    logger.error('broken');
    expect(lines).toEqual(['[gateway] error: broken\n']);
  });

  it('shows fields of child loggers', () => {
    const { lines, logger } = capture('text');
    logger.child({ requestId: 'r1' }).info('done');
    expect(lines).toEqual(['[gateway] done requestId=r1\n']);
  });
});

describe('errors', () => {
  it('come without a stack', () => {
    const { lines, logger } = capture('json');
    logger.error({ err: new TypeError('no') }, 'failed');
    expect(JSON.parse(lines[0] ?? '').err).toEqual({ type: 'TypeError', message: 'no' });
  });

  it('come with a stack at level debug', () => {
    const { lines, logger } = capture('json', 'debug');
    logger.error({ err: new TypeError('no') }, 'failed');
    expect(JSON.parse(lines[0] ?? '').err.stack).toContain('log.test.ts');
  });
});

it('neutralise leaves ordinary text alone', () => {
  expect(neutralise('Grüße 你好 🙂 a=b')).toBe('Grüße 你好 🙂 a=b');
});
