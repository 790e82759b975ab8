/**
 * schemathesis searches the API document for requests that the server answers in another way than the document says:
 * valid and invalid ones, sequences of them, with and without a key. `npm run test:schemathesis` tries 200 requests of each
 * operation, `npm run test:long` 20. It comes from PyPI; where that cannot be reached the tests say so and are skipped.
 * Folder `schemathesis/` holds its settings and our checks.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { generateSecret } from '../../src/access/keys/secret.ts';
import { isLong } from '../support/long.ts';
import { pythonPackages } from '../support/python-packages.ts';
import { startServer, temporaryFolder } from '../support/start-server.ts';

const folder = fileURLToPath(new URL('./schemathesis/', import.meta.url));

/** With the list of reasons for which valid requests may be refused, see hooks.py. */
const isAsked = process.env.SCHEMATHESIS === '1';

/** Requests that are made up for each operation, beside those that cover its schema. */
const exampleCount = process.env.SCHEMATHESIS_EXAMPLES ?? (isAsked ? '200' : '20');

/** Few tokens for a request, and no limits: the search is to find faults, not to wait. */
const serverFlags = [
  ...['--ctx', '512', '--parallel', '4', '--max-tokens', '8', '--max-queue-size', '0'],
  ...['--max-requests-per-minute', '1000000', '--auth-failures-per-minute', '0'],
];

interface Report {
  readonly operations: { readonly total: number; readonly tested: number };
  readonly phases: Readonly<Record<string, { readonly status: string }>>;
  readonly test_cases: { readonly generated: number };
  readonly failures: readonly object[];
  readonly errors: readonly object[];
}

async function search(url: string, headers: readonly string[]) {
  const packages = await pythonPackages(join(folder, 'requirements.txt'));
  if (packages.bin === undefined) return packages;
  const reportFile = join(temporaryFolder(), 'report.json');
  const args = [
    ...['--config-file', join(folder, 'schemathesis.toml'), 'run', `${url}/openapi.json`],
    ...['--max-examples', exampleCount, '--no-color', '--warnings', 'off'],
    ...['--report', 'json', '--report-json-path', reportFile],
    ...headers.flatMap((header) => ['--header', header]),
  ];
  const child = spawn(join(packages.bin, 'st'), args, {
    // It writes a folder of its own where it runs.
    cwd: temporaryFolder(),
    env: {
      ...process.env,
      PYTHONPATH: folder,
      PYTHONDONTWRITEBYTECODE: '1',
      SCHEMATHESIS_HOOKS: 'hooks',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => {
    child.kill();
  });
  let output = '';
  child.stdout.on('data', (bytes) => {
    output += String(bytes);
  });
  await once(child, 'close');
  return { report: JSON.parse(readFileSync(reportFile, 'utf8')) as Report, output };
}

test.runIf(isAsked || isLong).for(['without keys', 'with a key'])(
  'the server does what its document says, %s',
  { timeout: 1_800_000 },
  async (name, { skip }) => {
    const file = join(temporaryFolder(), 'api_keys.txt');
    const secret = generateSecret();
    writeFileSync(file, `tester:${secret}\n`, { mode: 0o600 });
    const isOpen = name === 'without keys';
    const authentication = isOpen ? [] : ['--auth-enabled', '--auth-keys-file', file];
    const server = await startServer({ flags: [...serverFlags, ...authentication] });
    const found = await search(server.url, isOpen ? [] : [`Authorization: Bearer ${secret}`]);
    if ('missing' in found) return skip(`schemathesis cannot be installed: ${found.missing}`);
    const { report, output } = found;
    expect([...report.failures, ...report.errors], output).toEqual([]);
    const { operations, test_cases: cases } = report;
    console.log(
      `${name}: ${operations.tested} operations, ${cases.generated} requests, none failed`,
    );
    expect(report.operations.tested).toBe(report.operations.total);
    expect(report.operations.total).toBeGreaterThan(20);
    expect(report.test_cases.generated).toBeGreaterThan(2000);
    for (const phase of ['examples', 'coverage', 'fuzzing', 'stateful']) {
      expect(report.phases[phase]?.status, phase).toBe('success');
    }
  },
);
