import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openCertificate, renewCertificate } from '../../src/server/tls-certificate.ts';
import { listen, startGateway } from '../support/start-gateway.ts';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

let folder: string;
const fileOf = (name: string) => join(folder, name);
const filesOf = (name: string) => ({
  certPath: fileOf(`${name}.crt`),
  keyPath: fileOf(`${name}.key`),
});

function makeCertificate(name: string): void {
  const { certPath, keyPath } = filesOf(name);
  const how = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const what = ['-subj', `/CN=${name}`, '-days', '2', '-keyout', keyPath, '-out', certPath];
  execFileSync('openssl', ['req', ...how, ...what], { stdio: 'ignore' });
}

/** Asks, and tells the name in the certificate that came. */
function ask(port: number, path: string): Promise<{ status: number; name: string }> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, rejectUnauthorized: false, agent: false };
    request(options, (reply) => {
      const { subject } = (reply.socket as TLSSocket).getPeerCertificate();
      reply.resume();
      resolve({ status: reply.statusCode ?? 0, name: String(subject.CN) });
    })
      .on('error', reject)
      .end();
  });
}

describe.runIf(hasOpenssl)('TLS', () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'lgi-tls-'));
    for (const name of ['first', 'second']) makeCertificate(name);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('answers, and nothing but TLS', async () => {
    const { app } = startGateway({ tls: openCertificate(filesOf('first')) });
    const { port } = await listen(app);
    expect(await ask(port, '/health')).toEqual({ status: 200, name: 'first' });
    await expect(fetch(`http://127.0.0.1:${port}/health`)).rejects.toThrow();
  });

  test('takes a new certificate while it runs, and keeps the old one when the new one is bad', async () => {
    const files = { certPath: fileOf('used.crt'), keyPath: fileOf('used.key') };
    const use = (name: string) => {
      copyFileSync(filesOf(name).certPath, files.certPath);
      copyFileSync(filesOf(name).keyPath, files.keyPath);
    };
    use('first');
    const { app } = startGateway({ tls: openCertificate(files) });
    const { port } = await listen(app);
    const lines: { msg: string }[] = [];
    const logger = pino({}, { write: (line: string) => lines.push(JSON.parse(line)) });
    onTestFinished(renewCertificate(app.server as unknown as Server, files, logger, 20));
    use('second');
    await expect.poll(async () => (await ask(port, '/ping')).name).toBe('second');

    writeFileSync(files.certPath, 'no certificate');
    const refused = 'the new certificate cannot be used; the old one stays in use';
    await expect.poll(() => lines.at(-1)?.msg).toBe(refused);
    expect((await ask(port, '/ping')).name).toBe('second');

    use('first');
    await expect.poll(async () => (await ask(port, '/ping')).name).toBe('first');
  });

  test.each([
    ['no file', () => ({ certPath: fileOf('none'), keyPath: filesOf('first').keyPath }), 'no such'],
    [
      'a key of another certificate',
      () => ({ certPath: filesOf('first').certPath, keyPath: filesOf('second').keyPath }),
      'mismatch',
    ],
  ])('does not start with %s', (_, files, reason) => {
    expect(() => openCertificate(files())).toThrow(
      expect.objectContaining({ exitCode: 2, message: expect.stringContaining(reason) }),
    );
  });
});
