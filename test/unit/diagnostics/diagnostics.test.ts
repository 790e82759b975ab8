import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { loadConfigOrDefaults } from '../../../src/config/load-config.ts';
import { writeDiagnosis } from '../../../src/diagnostics/diagnostics.ts';
import { redact, shownEnvironment } from '../../../src/diagnostics/redact.ts';
import { tarGz } from '../../../src/diagnostics/tar.ts';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'lgi-diagnosis-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Not real ones. */
const key = `sk-${'aB3-_'.repeat(8)}xyz`;
const hex = '0123456789abcdef'.repeat(4);

describe('redact', () => {
  it.each([
    [`Authorization: Bearer ${key}`, key],
    [`key ${key} refused`, key],
    ['{"api_key": "short"}', 'short'],
    ["password='p w'", 'p w'],
    ['DB_PASSWORD=hunter2', 'hunter2'],
    ['postgres://user:hunter2@host/db', 'hunter2'],
    ['https://host/path?sig=hunter2', 'hunter2'],
    ['Basic dXNlcjpwYXNz', 'dXNlcjpwYXNz'],
    [`token ${hex}`, hex],
    ['eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc', 'eyJzdWIiOiIxIn0'],
    ['hf_abcdefghijkl', 'hf_abcdefghijkl'],
    ['-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----', 'MIIE'],
  ])('takes the secret out of %j', (text, secret) => {
    expect(redact(text)).not.toContain(secret);
    expect(redact(text)).toContain('[redacted]');
  });

  it.each([
    'request completed requestId=req_0123456789abcdef0123456789abcdef status=200',
    'promptTokenCount=120 completionTokenCount=33',
    'MODEL_PATH=/models/qwen2.5-0.5b-instruct-q8_0.gguf',
    '2026-11-24T07:49:58.123Z | alice | POST /v1/chat/completions | 200',
    'llama.context_length: 4096, general.architecture: llama',
  ])('leaves %j alone', (text) => {
    expect(redact(text)).toBe(text);
  });
});

it('shownEnvironment shows known variables and counts the others', () => {
  const text = shownEnvironment({
    PORT: '8000',
    MAX_CONCURRENT_REQUESTS: '2',
    NODE_OPTIONS: `--title=${key}`,
    MY_CORPORATE_THING: 'internal',
    CHAT_TEMPLATE: 'long',
  });
  expect(text).toBe(
    'MAX_CONCURRENT_REQUESTS=2\nNODE_OPTIONS=--title=[redacted]\nPORT=8000\n' +
      '(2 other variables are not shown)\n',
  );
});

it('tarGz writes what tar reads', () => {
  const dir = folder();
  const path = join(dir, 'x.tar.gz');
  const entries = [
    { path: 'a/b.txt', content: 'x'.repeat(1000) },
    { path: 'a/c.txt', content: 'Grüße' },
    { path: 'a/empty.txt', content: '' },
  ];
  writeFileSync(path, tarGz(entries, new Date(0)));
  execFileSync('tar', ['-xzf', path, '-C', dir]);
  for (const { path: name, content } of entries) {
    expect(readFileSync(join(dir, name), 'utf8')).toBe(content);
  }
});

describe('writeDiagnosis', () => {
  async function diagnose(env: Record<string, string>, argv: string[] = []) {
    const outputFolder = folder();
    const options = loadConfigOrDefaults(argv, env);
    const archive = await writeDiagnosis({ ...options, outputFolder });
    const dir = archive.slice(0, -'.tar.gz'.length);
    const read = (name: string) => readFileSync(join(dir, name), 'utf8');
    return { archive, dir, read, names: readdirSync(dir) };
  }

  it('has everything about a server that is gone, and no secret', async () => {
    const logDir = folder();
    mkdirSync(join(logDir, 'llama-gpu'));
    const lines = Array.from({ length: 600 }, (_, line) => `line ${line} ${key}`);
    const log = [...lines, '[gateway] error: the gateway crashed'].join('\n');
    writeFileSync(join(logDir, 'llama-gpu', '20260101_000000_server_pod.log'), log);
    const configFile = join(logDir, 'config.json');
    writeFileSync(configFile, JSON.stringify({ 'port-health': 0, comment: 'ours' }));
    const { archive, read, names, dir } = await diagnose(
      { LOG_DIR: logDir, WORKER_TYPE: 'gpu', PORT: '1', SOME_TOKEN: key },
      ['--config', configFile],
    );
    expect(names.sort()).toEqual([
      'SUMMARY.txt',
      'config.json',
      'config_file.json',
      'container_info.txt',
      'environment.txt',
      'errors.txt',
      'gpu_info.txt',
      'health_status.txt',
      'logs',
      'model_info.json',
      'processes.txt',
      'system_info.txt',
    ]);
    expect(read('SUMMARY.txt')).toContain('wrong setting: unknown setting "comment"');
    expect(read('logs/server.log').trimEnd().split('\n')).toHaveLength(500);
    expect(read('errors.txt')).toBe('logs/server.log: [gateway] error: the gateway crashed\n');
    // With a wrong setting the defaults hold, and a server may listen on those ports.
    expect(read('health_status.txt')).toMatch(/^http:\/\/127\.0\.0\.1:8000\/ping: /);
    expect(JSON.parse(read('config_file.json'))).toEqual({
      'port-health': 0,
      comment: '[not shown]',
    });
    expect(JSON.parse(read('model_info.json')).source).toMatchObject({ id: 'tiny-chat' });
    expect(read('processes.txt')).toContain(`${process.pid}\t`);
    for (const name of [...names.filter((each) => each !== 'logs'), 'logs/server.log']) {
      expect(read(name), name).not.toContain(key);
      expect(statSync(join(dir, name)).mode & 0o077, name).toBe(0);
    }
    expect(statSync(archive).mode & 0o077).toBe(0);
  });

  it('says that a server that is gone does not answer', async () => {
    const { read } = await diagnose({ PORT: '1', PORT_HEALTH: '2' });
    const lines = read('health_status.txt').trim().split(/\n+/);
    expect(lines).toHaveLength(5);
    // What follows a question mark is redacted.
    for (const line of lines.filter((each) => !each.includes('?'))) {
      expect(line).toMatch(/^http:\/\/\S+:[12]\/\S+: no answer /);
    }
  });

  it('works where settings are wrong, and says which', async () => {
    const { read } = await diagnose({ PORT: 'eighty', MODEL_PATH: '/nowhere.gguf' });
    expect(read('SUMMARY.txt')).toMatch(/wrong setting: PORT .*"eighty"/);
  });
});
