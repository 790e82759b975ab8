import { expect, test } from 'vitest';
import { debugShell } from '../../../src/diagnostics/debug-shell.ts';

test('a debug shell says where it is, without secrets, and ends with 0', async () => {
  const stop = new AbortController();
  let text = '';
  const env = {
    PORT: '8000',
    BACKEND_API_KEY: 'hunter2-hunter2',
    MODEL_ALIAS: 'sk-0123456789abcdef',
  };
  const ended = debugShell(stop.signal, (more) => (text += more), env);
  stop.abort();
  expect(await ended).toBe(0);
  expect(text).toContain('PORT=8000');
  expect(text).toMatch(/user \d+:\d+, host /);
  expect(text).not.toMatch(/hunter2|0123456789abcdef/);
});
