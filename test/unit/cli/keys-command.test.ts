import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseKeyFile } from '../../../src/access/keys/key-file.ts';
import { digestOf, hashOf } from '../../../src/access/keys/secret.ts';
import { parseDuration, parseWhen } from '../../../src/access/keys/when.ts';
import { runKeys } from '../../../src/cli/keys-command.ts';
import { secrets } from '../../support/test-keys.ts';

const now = Date.UTC(2026, 10, 24, 12);
const newSecret = /sk-[A-Za-z0-9_-]{43}/;

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lgi-keys-'));
  file = join(folder, 'api_keys.txt');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the command on the test's file. */
async function keys(argv: string, stdin = '') {
  let [out, err] = ['', ''];
  const code = await runKeys({
    argv: argv.split(' ').filter(Boolean),
    defaultFile: file,
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    readStdin: async () => stdin,
    now: () => now,
  });
  return { code, out, err };
}

const content = () => readFileSync(file, 'utf8');
const lines = () => content().trimEnd().split('\n');

describe('generate', () => {
  test('creates the file for its owner only, with a comment, and shows the key once', async () => {
    file = join(folder, 'new', 'folder', 'keys.txt');
    const { code, out, err } = await keys('generate --name alice');
    const secret = newSecret.exec(out)?.[0] ?? '';
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toBe(`Generated key for 'alice': ${secret} (rate_limit=default, expires=never)\n`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(lines().at(0)).toMatch(/^# /);
    expect(lines().at(-1)).toBe(`alice:${hashOf(secret)}`);
    expect(readdirSync(join(folder, 'new', 'folder'))).toEqual(['keys.txt']);
  });

  test('writes all attributes in the form that the server reads', async () => {
    const { out } = await keys(
      'generate --name app --rate-limit 60 --expires 90d --tokens-per-minute 5 --tokens-per-day 6 ' +
        '--concurrent-requests 2 --models tiny/a,b --scopes inference',
    );
    expect(out).toContain('(rate_limit=60/min, expires=2027-02-22T12:00:00Z)');
    expect(parseKeyFile(content()).keys).toMatchObject([
      {
        keyId: 'app',
        limits: {
          requestsPerMinute: 60,
          tokensPerMinute: 5,
          tokensPerDay: 6,
          concurrentRequests: 2,
        },
        expiresAt: Date.UTC(2027, 1, 22, 12),
        models: ['tiny/a', 'b'],
        scopes: ['inference'],
      },
    ]);
  });

  test('keeps what is there, also a last line without its end', async () => {
    writeFileSync(file, `# mine\n\nbroken line\nbob:${secrets.bob}`);
    await keys('generate --name alice -q');
    expect(lines().slice(0, 4)).toEqual(['# mine', '', 'broken line', `bob:${secrets.bob}`]);
    expect(lines()).toHaveLength(5);
  });

  test('can store the key itself, as the Python gateway did', async () => {
    const { out } = await keys('generate alice --plain --quiet');
    expect(out).toMatch(new RegExp(`^${newSecret.source}\n$`));
    expect(lines().at(-1)).toBe(`alice:${out.trim()}`);
    expect((await keys('generate bob --plain --hash')).err).toContain('opposites');
    expect((await keys('generate bob --name bob')).err).toContain('twice');
  });

  test.skipIf(process.getuid?.() === 0)('says whose folder it may not write', async () => {
    file = '/keys.txt';
    const { code, err } = await keys('generate alice');
    expect(code).toBe(1);
    expect(err).toMatch(/belongs to 0:0, this runs as \d+:\d+; `chown .* helps, or set API_KEYS/);
  });

  test('takes its flags anywhere, and answers in JSON', async () => {
    const { out } = await keys('--json --name alice generate --expires 2030-01-01');
    expect(JSON.parse(out)).toEqual({
      key_id: 'alice',
      api_key: expect.stringMatching(newSecret),
      rate_limit: null,
      expires: '2030-01-01T00:00:00Z',
    });
  });

  test.each([
    ['generate --name bob', /^Error: key 'bob' exists already; use rotate/, 1],
    ['generate --name b/b', /^Error: --name must be 1 to 64 letters/, 1],
    ['generate --name c --expires 2020-01-01', /^Error: --expires is in the past/, 1],
    ['generate --name c --scopes root', /^Error: scopes must be of/, 1],
    ['generate --name c --expires soon', /^Error: --expires must be an ISO 8601/, 2],
    ['generate --name c --rate-limit 0', /^Error: --rate-limit must be a whole number/, 2],
    ['generate', /^Error: generate needs the name of a key/, 2],
    ['generate --name c --grace 1d', /^Error: generate takes no --grace/, 2],
    ['generate --name', /^Error: .*--name/, 2],
    ['generate --frobnicate', /^Error: .*--frobnicate/, 2],
    ['generat --name c', /did you mean generate\?/, 2],
    ['list more', /^Error: unexpected argument "more"/, 2],
  ])('%s is refused', async (argv, reason, code) => {
    const before = `bob:${secrets.bob}\n`;
    writeFileSync(file, before);
    const result = await keys(argv);
    expect(result.code).toBe(code);
    expect(result.out).toBe('');
    expect(result.err).toMatch(reason);
    expect(content()).toBe(before);
  });

  test('takes a past expiration with --force', async () => {
    expect((await keys('generate --name c --expires 2020-01-01 --force')).code).toBe(0);
  });
});

describe('rotate', () => {
  test('changes the secret only, in its place', async () => {
    writeFileSync(
      file,
      `# top\nbob:${secrets.bob}:60:2027-01-01 models=x\nalice:${secrets.alice}\n`,
    );
    const { out } = await keys('rotate --name bob');
    const secret = newSecret.exec(out)?.[0];
    expect(out).toBe(`Rotated key for 'bob': ${secret}\n`);
    expect(lines()).toEqual([
      '# top',
      `bob:${secret}:60:2027-01-01 models=x`,
      `alice:${secrets.alice}`,
    ]);
  });

  test('keeps the form that the file has the key in, unless it is told another', async () => {
    writeFileSync(file, `app:${hashOf(secrets.alice)}\n`);
    const { out } = await keys('rotate app -q');
    expect(lines()).toEqual([`app:${hashOf(out.trim())}`]);
    const plain = await keys('rotate app --plain -q');
    expect(lines()).toEqual([`app:${plain.out.trim()}`]);
    const hashed = await keys('rotate app --hash -q');
    expect(lines()).toEqual([`app:${hashOf(hashed.out.trim())}`]);
  });

  test('takes another limit and expiration', async () => {
    writeFileSync(file, `bob:${secrets.bob}::2027-01-01 requests_per_minute=3\n`);
    await keys('rotate --name bob --rate-limit 5 --expires never');
    expect(lines()[0]).toMatch(/^bob:sk-.{43}:5$/);
  });

  test('leaves the old secret valid for a grace, then it is over', async () => {
    writeFileSync(file, `bob:${secrets.bob}:60\n`);
    await keys('rotate --name bob --grace 24h');
    const [first, second] = parseKeyFile(content()).keys;
    expect(first).toMatchObject({ keyId: 'bob', expiresAt: undefined });
    expect(second).toMatchObject({ keyId: 'bob', expiresAt: now + 86_400_000 });
    expect(second?.digest).toEqual(digestOf(secrets.bob));

    await keys('rotate --name bob');
    expect(parseKeyFile(content()).keys).toHaveLength(1);
    expect(content()).not.toContain(secrets.bob);
  });

  test.each([
    ['rotate --name nobody', /^Error: there is no key 'nobody'/],
    ['rotate --name old', /^Error: key 'old' has expired .*--expires/],
  ])('%s is refused', async (argv, reason) => {
    writeFileSync(file, `old:${secrets.bob}::2020-01-01\n`);
    const { code, err } = await keys(argv);
    expect(code).toBe(1);
    expect(err).toMatch(reason);
  });
});

describe('remove', () => {
  test('removes every line of the id, with invalid ones, and nothing else', async () => {
    writeFileSync(
      file,
      `# top\r\nbob:${secrets.bob}\r\nalice:${secrets.alice}\r\nbob:${secrets.carol}:fast\r\n`,
    );
    const { code, out } = await keys('remove --name bob');
    expect({ code, out }).toEqual({ code: 0, out: "Removed key 'bob'. (2 lines)\n" });
    expect(lines()).toEqual(['# top', `alice:${secrets.alice}`]);
    expect(await keys('remove --name alice -q')).toEqual({ code: 0, out: '', err: '' });
    expect((await keys('remove --name alice')).err).toBe("Error: there is no key 'alice'\n");
  });
});

describe('list', () => {
  test('shows every key and what is wrong with a line, and no secret', async () => {
    writeFileSync(
      file,
      `alice:${secrets.alice}:60:2027-01-01\nold:${secrets.bob}::2020-01-01\nc:${secrets.carol}:x\n`,
    );
    const { out } = await keys('list');
    expect(out).toBe(
      [
        'KEY_ID  RATE_LIMIT  EXPIRES               STATUS',
        'alice   60/min      2027-01-01T00:00:00Z  active',
        'old     default     2020-01-01T00:00:00Z  expired',
        'line 3  default     -                     invalid: the rate limit must be a whole number from 1 to 1000000000000',
        '2 key(s) configured',
        '',
      ].join('\n'),
    );
    expect((await keys('list --quiet')).out).toBe('2 key(s) configured\n');
    const json = JSON.parse((await keys('list --json')).out);
    expect(json).toMatchObject({
      file,
      count: 2,
      keys: [{ key_id: 'alice', status: 'active', rate_limit: 60 }, {}, { line: 3, key_id: null }],
    });
    for (const secret of Object.values(secrets)) {
      expect(out + JSON.stringify(json)).not.toContain(secret);
    }
  });

  test('of a file that does not exist is empty, with a hint, and does not make it', async () => {
    const { code, out } = await keys('list');
    expect(code).toBe(0);
    expect(out).toMatch(/^0 key\(s\) configured\n.*generate/);
    expect(existsSync(file)).toBe(false);
  });
});

describe('validate', () => {
  test('is content with a good file', async () => {
    writeFileSync(file, `alice:${secrets.alice}\n`, { mode: 0o600 });
    expect(await keys('validate')).toEqual({
      code: 0,
      out: '1 valid key(s), 0 line(s) skipped\n',
      err: '',
    });
  });

  test('names bad lines, odd ones and permissions, and fails for the bad ones', async () => {
    writeFileSync(file, `a:${secrets.alice}\na:${secrets.bob}::2020-01-01\nnonsense\n`, {
      mode: 0o644,
    });
    const { code, out } = await keys('validate');
    expect(code).toBe(1);
    expect(out.split('\n').slice(0, 4)).toEqual([
      'Error: line 3: it must have the form key_id:api_key',
      expect.stringMatching(/^Warning: others than its owner may read it \(mode 644\)/),
      expect.stringMatching(/^Warning: line 2: the key id a is also on line 1/),
      'Warning: line 2: key a has expired',
    ]);
    expect(JSON.parse((await keys('validate --json')).out)).toMatchObject({
      valid: false,
      count: 2,
    });
  });

  test('fails for a file that does not exist', async () => {
    expect(await keys('validate')).toEqual({
      code: 1,
      out: '',
      err: 'Error: there is no such file\n',
    });
  });
});

describe('hash', () => {
  test('replaces the secrets of one key, or of all, by hashes that the server accepts', async () => {
    writeFileSync(file, `a:${secrets.alice}:5 models=x\n# b\nb:${secrets.bob}\n`);
    expect((await keys('hash --name a')).out).toBe('Hashed 1 key(s).\n');
    expect(lines()).toEqual([`a:${hashOf(secrets.alice)}:5 models=x`, '# b', `b:${secrets.bob}`]);
    expect((await keys('hash --all')).out).toBe('Hashed 1 key(s).\n');
    expect(parseKeyFile(content()).keys.map(({ digest }) => digest)).toEqual([
      digestOf(secrets.alice),
      digestOf(secrets.bob),
    ]);
  });

  test('of a secret from standard input is shown', async () => {
    const { out } = await keys('hash --stdin', `${secrets.alice}\n`);
    expect(out).toBe(`${hashOf(secrets.alice)}\n`);
    expect((await keys('hash --stdin', 'short')).code).toBe(1);
    expect((await keys('hash')).code).toBe(2);
  });
});

describe('without a command', () => {
  test('the help is shown, and it is a failure unless it was asked for', async () => {
    const bare = await keys('');
    expect(bare.code).toBe(1);
    expect(bare.out).toContain('generate NAME');
    expect(await keys('rotate --help')).toEqual({ ...bare, code: 0 });
  });
});

describe('the file', () => {
  test('is changed through a link, which stays one', async () => {
    const target = join(folder, 'target.txt');
    writeFileSync(target, '', { mode: 0o640 });
    symlinkSync('target.txt', file);
    await keys('generate --name alice');
    expect(readFileSync(target, 'utf8')).toContain('alice:');
    expect(readdirSync(folder).sort()).toEqual(['api_keys.txt', 'target.txt']);
    expect(statSync(target).mode & 0o777).toBe(0o600);
  });

  test('keeps every change of commands that run side by side', async () => {
    const names = Array.from({ length: 12 }, (_, index) => `key-${index}`);
    const results = await Promise.all(names.map((name) => keys(`generate --name ${name}`)));
    expect(results.map(({ code }) => code)).toEqual(names.map(() => 0));
    const written = parseKeyFile(content()).keys.map(({ keyId }) => keyId);
    expect(written.sort()).toEqual([...names].sort());
    expect(readdirSync(folder)).toEqual(['api_keys.txt']);
    // Each waits for the disk, one after the other.
  }, 60_000);

  test('is not kept locked by a process that died', async () => {
    // Larger than any process id.
    writeFileSync(`${file}.lock`, `4999999@${hostname()}`);
    expect((await keys('generate --name alice')).code).toBe(0);
    expect(existsSync(`${file}.lock`)).toBe(false);
  });
});

describe('a time', () => {
  test.each([
    ['90d', '2027-02-22T12:00:00Z'],
    ['12h', '2026-11-25T00:00:00Z'],
    ['30m', '2026-11-24T12:30:00Z'],
    ['2w', '2026-12-08T12:00:00Z'],
    ['2030-01-01', '2030-01-01T00:00:00Z'],
    ['2030-01-01T02:00+02:00', '2030-01-01T00:00:00Z'],
  ])('%s is %s', (text, expected) => {
    expect(parseWhen(text, now)).toEqual({ text: expected, timeMs: Date.parse(expected) });
  });

  test.each(['', '90', 'd', '-1d', '1.5h', '1y', 'tomorrow'])('%j is none', (text) => {
    expect([parseWhen(text, now), parseDuration(text)]).toEqual([undefined, undefined]);
  });
});
