/**
 * The program as it comes, without a model of one's own. What the bundled model says depends on its
 * training and is not asked here.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type OpenAI from 'openai';
import { beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../support/cli-process.ts';
import { projectFolder, runShell, startShellServer } from '../support/shell-process.ts';
import {
  startServer,
  startSharedServer,
  type TestServer,
  temporaryFolder,
} from '../support/start-server.ts';

type Messages = OpenAI.ChatCompletionMessageParam[];

const dialogues: [string, Messages][] = [
  ['a greeting', [{ role: 'user', content: 'Hello!' }]],
  [
    'a system prompt',
    [
      { role: 'system', content: 'Your name is Ada.' },
      { role: 'user', content: 'What is your name?' },
    ],
  ],
  [
    'a follow-up',
    [
      { role: 'user', content: 'What day comes after Monday?' },
      { role: 'assistant', content: 'The day after Monday is Tuesday.' },
      { role: 'user', content: 'And the day after?' },
    ],
  ],
  ['other scripts', [{ role: 'user', content: 'Repeat: naïve 世界 👩‍👩‍👧' }]],
];

describe('a server that was told no model', () => {
  const modelsDir = temporaryFolder();
  let server: TestServer;

  beforeAll(async () => {
    writeFileSync(join(modelsDir, 'forgotten.gguf'), '');
    server = await startSharedServer({ env: { MODELS_DIR: modelsDir } });
  });

  test('serves the bundled one and says so, in its log and to clients', async () => {
    expect(await server.line('ready')).toMatchObject({ model: 'tiny-chat', bundled: true });
    const { data } = await server.client.models.list();
    expect(data).toMatchObject([
      { id: 'tiny-chat', bundled: true, architecture: 'llama', trained_context_length: 4096 },
    ]);
  });

  test('warns how to serve a real one, with the files that are at hand', () => {
    const warning = server.lines.find(({ msg }) => msg.startsWith('no model is set'));
    expect(warning).toMatchObject({ level: 'warn' });
    expect(warning?.msg).toMatch(/MODEL_PATH.*MODEL_NAME.*forgotten\.gguf/);
  });

  test.each(dialogues)('streams what it answers at once, to %s', async (_name, messages) => {
    const body = { model: 'tiny-chat', messages, temperature: 0, max_tokens: 200 };
    const reply = await server.client.chat.completions.create(body);
    const stream = await server.client.chat.completions.create({
      ...body,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);

    const choices = chunks.flatMap((chunk) => chunk.choices);
    const content = choices.map(({ delta }) => delta.content ?? '').join('');
    expect(content).not.toBe('');
    expect(content).toBe(reply.choices[0]?.message.content);
    expect(choices.at(-1)?.finish_reason).toBe(reply.choices[0]?.finish_reason);
    expect(new Set(chunks.map(({ model }) => model))).toEqual(new Set(['tiny-chat']));
    const { prompt_tokens, completion_tokens } = reply.usage ?? {};
    expect(chunks.at(-1)?.usage).toMatchObject({ prompt_tokens, completion_tokens });
  });
});

test('MOCK_BACKEND serves the bundled model under any name, and warns loudly', async () => {
  const server = await startServer({ env: { MOCK_BACKEND: 'yes', MODEL_ALIAS: 'acme/real' } });
  expect(await server.line('ready')).toMatchObject({ model: 'acme/real', bundled: true });
  expect(server.lines).toContainEqual(
    expect.objectContaining({
      level: 'warn',
      msg: expect.stringContaining('MOCK_BACKEND is on: every request'),
    }),
  );
  const reply = await server.chat({ max_tokens: 3 });
  expect(reply.status).toBe(200);
  expect(await reply.json()).toMatchObject({ model: 'acme/real' });
});

describe('the package that npm makes', () => {
  const folder = temporaryFolder();
  const installed = join(folder, 'llama-gguf-inference');
  const cliPath = join(installed, 'dist', 'cli.js');
  const paths = packedPaths();

  beforeAll(() => {
    for (const path of paths) cpSync(join(projectFolder, path), join(installed, path));
    symlinkSync(join(projectFolder, 'node_modules'), join(folder, 'node_modules'));
  });

  test('holds the bundled model and its description, not what made it', () => {
    const models = paths.filter((path) => path.startsWith('models/'));
    expect(models.sort()).toEqual(['models/README.md', 'models/tiny-chat.gguf']);
  });

  test('finds its model wherever it is installed, and says what to set where it was removed', async () => {
    const server = await startServer({ cliPath });
    const path = join(installed, 'models', 'tiny-chat.gguf');
    expect(await server.line('loading model')).toMatchObject({ path });
    expect((await server.chat({ max_tokens: 1 })).status).toBe(200);
    await server.kill();

    rmSync(path);
    const ports = ['--port', '0', '--port-health', '0'];
    const { code, stderr } = await runCli(['--no-auth-enabled', ...ports], { cliPath });
    expect(code).toBe(2);
    expect(stderr).toMatch(/bundled one is not part of this installation.*set MODEL/);
    expect(stderr).not.toContain('"listening"');
  });
});

test('npm start without settings is soon ready for a chat, on the loopback and without keys', async () => {
  const { PATH = '', HOME = '' } = process.env;
  const startedAt = performance.now();
  const { PORT, log } = await startShellServer('npm start', {
    PATH,
    HOME,
    PORT: '0',
    PORT_HEALTH: '0',
  });
  const readyMs = performance.now() - startedAt;
  const reply = await fetch(`http://127.0.0.1:${PORT}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'Hello!' }], stream: true }),
  });
  expect(reply.status).toBe(200);
  // The headers leave together with the first token.
  const firstTokenMs = performance.now() - startedAt;
  await reply.text();
  const took = [readyMs, firstTokenMs].map((ms) => `${(ms / 1000).toFixed(2)} s`);
  console.log(`npm start: ready after ${took[0]}, first token after ${took[1]}`);
  expect(log).toMatch(/listening host=127\.0\.0\.1 /);
  expect(log).toContain('warn: authentication is off');
  expect(log).toContain('warn: no model is set');
  expect(log).toMatch(/ready .*model=tiny-chat bundled=true/);
});

test('SIGTERM to npm alone ends what npm started', async () => {
  const { PATH = '', HOME = '' } = process.env;
  const npm = runShell('exec npm start', { PATH, HOME, PORT: '0', PORT_HEALTH: '0' });
  let log = '';
  // The lines end when the last process that may write one has ended.
  for await (const line of createInterface({ input: npm.stderr as Readable })) {
    log += `${line}\n`;
    if (line.startsWith('[gateway] ready ')) npm.kill('SIGTERM');
  }
  expect(log).toContain('[gateway] stopped');
});

test('llama.cpp is tried in a process of its own before the gateway opens it', async () => {
  const folder = temporaryFolder();
  const note = join(folder, 'note.mjs');
  const programs = join(folder, 'programs.txt');
  writeFileSync(
    note,
    `import { appendFileSync } from 'node:fs';
    appendFileSync(${JSON.stringify(programs)}, process.argv.slice(1, 3).join(' ') + '\\n');`,
  );
  const { PATH = '', HOME = '' } = process.env;
  await startShellServer('npm start', {
    PATH,
    HOME,
    PORT: '0',
    PORT_HEALTH: '0',
    NODE_OPTIONS: `--import=${note}`,
  });
  const started = readFileSync(programs, 'utf8').trim().split('\n');
  expect(started.slice(-2)).toEqual([
    `${join(projectFolder, 'dist', 'cli.js')} gateway-process`,
    join(projectFolder, 'dist', 'testBindingBinary.js'),
  ]);
});

/** What would go into the package, relative to the project's folder. */
function packedPaths(): string[] {
  const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: projectFolder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [packed] = JSON.parse(output) as [{ readonly files: readonly { readonly path: string }[] }];
  return packed.files.map(({ path }) => path);
}
