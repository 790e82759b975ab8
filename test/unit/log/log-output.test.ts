import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { openLog } from '../../../src/log/log-output.ts';
import type { LogSettings } from '../../../src/log/log-settings.ts';

const errorLines: string[] = [];

beforeEach(() => {
  errorLines.length = 0;
  const spy = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    errorLines.push(String(text));
    return true;
  });
  onTestFinished(() => spy.mockRestore());
});

function start(format: LogSettings['format'] = 'text') {
  const folder = mkdtempSync(join(tmpdir(), 'lgi-log-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const files = {
    folder: join(folder, 'logs'),
    name: 'llama',
    instance: 'x',
    maxBytes: 0,
    maxFiles: 5,
  };
  return { folder, files, config: { level: 'info', format, access: true, files } as const };
}

function latest(folder: string): string {
  return readFileSync(readFileSync(join(folder, 'latest.txt'), 'utf8').trim(), 'utf8');
}

it('writes lines to standard error and to the file, there with their time', async () => {
  const { files, config } = start();
  const log = openLog(config, 'gateway');
  log.logger.info({ port: 1 }, 'listening');
  await log.beginService();
  log.logger.warn('later');
  await log.close();
  expect(errorLines).toEqual(['[gateway] listening port=1\n', '[gateway] warn: later\n']);
  expect(latest(join(files.folder, '_boot'))).toMatch(
    /^\d{4}-\S+Z \[gateway\] listening port=1\n$/,
  );
  expect(latest(join(files.folder, 'llama'))).toMatch(/^\d{4}-\S+Z \[gateway\] warn: later\n$/);
});

it('writes the same JSON to both', async () => {
  const { files, config } = start('json');
  const log = openLog(config, 'gateway');
  log.logger.info('x');
  await log.close();
  expect(latest(join(files.folder, '_boot'))).toBe(errorLines.join(''));
});

it('goes on with standard error, after one warning, where the folder cannot be made', async () => {
  const { folder, files, config } = start();
  writeFileSync(files.folder, 'a file is in the way');
  const log = openLog(config, 'gateway');
  log.logger.info('x');
  await log.beginService();
  await log.close();
  expect(errorLines).toEqual([
    expect.stringMatching(/^\[gateway\] warn: log files cannot be written/),
    '[gateway] x\n',
  ]);
  expect(log.accessFile).toBeUndefined();
  expect(readdirSync(folder)).toEqual(['logs']);
});

it('goes on as well where the folder is lost while the model is loaded', async () => {
  const { files, config } = start();
  const log = openLog(config, 'gateway');
  rmSync(files.folder, { recursive: true });
  writeFileSync(files.folder, 'a file is in the way');
  await log.beginService();
  log.logger.info('x');
  expect(errorLines.at(-2)).toMatch(/log files cannot be written/);
  expect(errorLines.at(-1)).toBe('[gateway] x\n');
});
