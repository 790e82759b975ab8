/**
 * What the Dockerfiles do, step by step and without a container engine: the same scripts put an image's
 * folder together, and what is in it serves, as the image's user and unable to write to it. Not run here:
 * installing the Debian packages, and anything about the base images.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isLong } from '../support/long.ts';
import { projectFolder } from '../support/shell-process.ts';

const isRoot = process.getuid?.() === 0;
/** The user of the images; only root can become somebody else. */
const user = isRoot ? { uid: 1000, gid: 1000 } : {};
const dockerfiles = { cpu: 'Dockerfile', cuda12: 'Dockerfile.cuda' } as const;

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lgi-container-'));
  chmodSync(folder, 0o755);
  return folder;
}

function assemble(out: string, backend: string, from = projectFolder): void {
  const script = join(from, 'scripts', 'container', 'assemble.mjs');
  const env = { PATH: process.env.PATH ?? '', GIT_SHA: 'abc123', BUILD_TIME: '2026-01-02' };
  execFileSync(process.execPath, [script, '--out', out, '--backend', backend], { env });
}

/** Lines of a Dockerfile, those that go on put together. */
function instructionsOf(name: string): string[] {
  return readFileSync(join(projectFolder, name), 'utf8')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => /^[A-Z]/.test(line));
}

function chat(port: number, signal?: AbortSignal): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'Who are you?' }], temperature: 0 }),
    ...(signal && { signal }),
  });
}

/** Runs an assembled folder as its image would, until its log says `ready`. */
async function run(app: string, env: Record<string, string>) {
  const child = spawn(join(app, 'entrypoint.sh'), ['serve'], {
    ...user,
    cwd: app,
    env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, NODE_ENV: 'production', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const exited = once(child, 'exit');
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    lines.push(line);
    if (line.startsWith('[gateway] ready ')) break;
  }
  child.stderr.resume();
  const log = lines.join('\n');
  const [, port, healthPort] = /listening .*port=(\d+) healthPort=(\d+)/.exec(log) ?? [];
  if (port === undefined) throw new Error(`it did not serve:\n${log}`);
  return { child, exited, log, port: Number(port), healthPort: Number(healthPort) };
}

function probe(app: string, env: Record<string, string>): number | null {
  return spawnSync(process.execPath, [join(app, 'healthcheck.mjs')], { env }).status;
}

describe('the folder of the CPU image', () => {
  let folder: string;
  let app: string;

  beforeAll(() => {
    folder = newFolder();
    app = join(folder, 'app');
    assemble(app, 'cpu');
    execFileSync('chmod', ['-R', 'a-w', app]);
    return () => {
      execFileSync('chmod', ['-R', 'u+w', app]);
      rmSync(folder, { recursive: true });
    };
  });

  test('says what it was made of', () => {
    const version = readFileSync(join(app, 'VERSION'), 'utf8');
    const { version: ours } = JSON.parse(readFileSync(join(projectFolder, 'package.json'), 'utf8'));
    expect(version.split('\n').slice(0, 3)).toEqual([
      `VERSION=${ours}`,
      'GIT_SHA=abc123',
      'BUILD_TIME=2026-01-02',
    ]);
  });

  test('has nothing that is for development or for other backends', () => {
    const packages = readdirSync(join(app, 'node_modules'));
    for (const name of ['vitest', 'typescript', '@biomejs', 'openai']) {
      expect(packages).not.toContain(name);
    }
    expect(readdirSync(join(app, 'node_modules', '@node-llama-cpp'))).toHaveLength(1);
    expect(readdirSync(join(app, 'dist', 'native'))).toEqual(['engine-cpu.node']);
  });

  test('serves as the user of the image, who cannot write to it, answers its probe and drains', async () => {
    const data = join(folder, 'data');
    mkdirSync(data);
    chmodSync(data, 0o777);
    const settings = { HOST: '127.0.0.1', PORT: '0', PORT_HEALTH: '0', AUTH_ENABLED: 'false' };
    const server = await run(app, { ...settings, DATA_DIR: data });
    expect(server.log).toContain('GIT_SHA=abc123');
    const reply = await chat(server.port);
    expect(reply.status).toBe(200);
    expect(await reply.json()).toMatchObject({
      choices: [{ message: { content: expect.stringContaining('tiny-chat') } }],
    });
    // Files of a package, which lie outside the bundle.
    for (const path of ['/docs', '/docs/static/swagger-ui-bundle.js']) {
      expect((await fetch(`http://127.0.0.1:${server.port}${path}`)).status, path).toBe(200);
    }
    const health = { HOST: '127.0.0.1', PORT_HEALTH: String(server.healthPort) };
    expect(probe(app, health)).toBe(0);
    expect(probe(app, { PORT_HEALTH: health.PORT_HEALTH })).toBe(0);
    server.child.kill('SIGTERM');
    expect(await server.exited).toEqual([0, null]);
    expect(probe(app, health)).toBe(1);
    if (isRoot) expect(statSync(join(data, 'logs')).uid).toBe(1000);
  });
});

describe('the folder of the CUDA image', () => {
  const packages = join(projectFolder, 'node_modules', '@node-llama-cpp');
  const hasCuda = existsSync(join(packages, 'linux-x64-cuda'));

  test.runIf(hasCuda).each([
    ['cuda12', ['linux-x64', 'linux-x64-cuda', 'linux-x64-cuda-ext'], false],
    ['cuda13', ['linux-x64', 'linux-x64-cuda'], true],
  ])('of %s loads its engine, also without a GPU', (backend, expected, hasOwnBackend) => {
    const folder = newFolder();
    onTestFinished(() => rmSync(folder, { recursive: true }));
    // Fails when one of its engines does not load.
    assemble(join(folder, 'app'), backend);
    const installed = join(folder, 'app', 'node_modules', '@node-llama-cpp');
    expect(readdirSync(installed).toSorted()).toEqual(expected);
    const libraries = readdirSync(join(installed, 'linux-x64-cuda', 'bins', 'linux-x64-cuda'));
    expect(libraries.includes('libggml-cuda.so')).toBe(hasOwnBackend);
  });
});

describe('assemble.mjs', () => {
  test.each([
    [['--backend', 'cpu'], '--out is missing'],
    [['--out', '/nowhere', '--backend', 'cuda'], '--backend must be one of cpu, cuda12, cuda13'],
    [['--out', tmpdir(), '--backend', 'cpu'], 'is not empty'],
  ])('refuses %j', (args, message) => {
    if (readdirSync(tmpdir()).length === 0) writeFileSync(join(tmpdir(), 'lgi-some-file'), '');
    const script = join(projectFolder, 'scripts', 'container', 'assemble.mjs');
    const { status, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
    expect(status).toBe(1);
    expect(stderr).toContain(message);
  });
});

describe('add-user.sh', () => {
  const hasTools = spawnSync('useradd', ['--help']).status === 0;

  test.runIf(isRoot && hasTools)('gives the id 1000 to inference, whoever had it', () => {
    const root = newFolder();
    onTestFinished(() => rmSync(root, { recursive: true }));
    mkdirSync(join(root, 'etc'));
    writeFileSync(
      join(root, 'etc/passwd'),
      'root:x:0:0::/root:/bin/sh\nubuntu:x:1000:1000::/:/bin/sh\n',
    );
    writeFileSync(join(root, 'etc/group'), 'root:x:0:\nvideo:x:44:\nubuntu:x:1000:\n');
    writeFileSync(join(root, 'etc/shadow'), 'root:*:1::::::\nubuntu:*:1::::::\n');
    writeFileSync(join(root, 'etc/gshadow'), 'root:*::\nvideo:!::\nubuntu:!::\n');
    execFileSync(join(projectFolder, 'scripts', 'container', 'add-user.sh'), [root]);
    const passwd = readFileSync(join(root, 'etc/passwd'), 'utf8');
    expect(passwd).toContain('inference:x:1000:1000::/app:/usr/sbin/nologin');
    expect(passwd).not.toContain('ubuntu');
    expect(readFileSync(join(root, 'etc/group'), 'utf8')).toMatch(/^video:x:44:inference$/m);
    expect(statSync(join(root, 'data')).uid).toBe(1000);
  });
});

describe.each(Object.entries(dockerfiles))('the Dockerfile for %s', (backend, name) => {
  const instructions = instructionsOf(name);

  test('takes the steps that are tested above', () => {
    const text = instructions.join('\n');
    expect(text).toContain('RUN npm ci --ignore-scripts');
    expect(text).toContain('RUN npm run build');
    expect(text).toMatch(/assemble\.mjs --out \/app --backend/);
    if (backend !== 'cpu') expect(text).toContain(`ARG BACKEND=${backend}`);
    expect(text).toContain('RUN /tmp/add-user.sh');
  });

  test('runs as 1000, tells its ports, is probed and sets nothing that a model decides', () => {
    expect(instructions).toContain('USER 1000');
    expect(instructions.join('\n')).not.toMatch(/\b(CTX|NGL|DATA_DIR)=/);
    expect(instructions.join('\n')).toContain('/usr/local/bin/llama-gguf-inference');
    expect(instructions).toContain('EXPOSE 8000 8001');
    expect(instructions.find((line) => line.startsWith('HEALTHCHECK'))).toContain(
      '/app/healthcheck.mjs',
    );
    expect(instructions).toContain('ENTRYPOINT ["/app/entrypoint.sh"]');
  });
});

test('compose gives a server longer to stop than it takes to drain', () => {
  const text = readFileSync(join(projectFolder, 'docker-compose.yml'), 'utf8');
  const grace = Number(/stop_grace_period: (\d+)s/.exec(text)?.[1]);
  const drain = Number(/DRAIN_TIMEOUT:-(\d+)/.exec(text)?.[1]);
  expect(grace).toBeGreaterThan(drain + 5);
});

describe.runIf(isLong)('from a clean tree', () => {
  test('npm ci and npm run build, as the images do, come to what serves', {
    timeout: 900_000,
  }, async () => {
    // The engine is compiled anew by every `npm ci` of a clone: the one of these very sources comes along.
    const folder = newFolder();
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const source = join(folder, 'src');
    const files = execFileSync('git', ['ls-files', '-z'], { cwd: projectFolder, encoding: 'utf8' });
    for (const file of files.split('\0').filter(Boolean)) {
      cpSync(join(projectFolder, file), join(source, file), { recursive: true });
    }
    for (const made of ['build/native-engine.stamp', 'dist/native']) {
      cpSync(join(projectFolder, made), join(source, made), { recursive: true });
    }
    const options = { cwd: source, stdio: 'inherit' } as const;
    execFileSync('npm', ['ci', '--ignore-scripts'], options);
    execFileSync('npm', ['run', 'build'], options);
    assemble(join(folder, 'app'), 'cpu', source);
    rmSync(source, { recursive: true });
    const settings = { HOST: '127.0.0.1', PORT: '0', PORT_HEALTH: '0', AUTH_ENABLED: 'false' };
    const server = await run(join(folder, 'app'), { ...settings, DATA_DIR: folder });
    expect((await chat(server.port)).status).toBe(200);
    server.child.kill('SIGTERM');
    expect(await server.exited).toEqual([0, null]);
  });
});
