/** llama-server and llama-quantize, built from the source bundle that node-llama-cpp carries, on the libraries it ships. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readGgufFileInfo } from 'node-llama-cpp';
import { type ServerProcess, whenReady } from '../fixtures/server-process.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const sourceFolder = join(root, 'build', 'bench', 'llama.cpp');
const buildFolder = join(root, 'build', 'bench', 'llama.cpp-programs');

/** A program of the release, and the folder in which it finds its backends. */
export interface PeerProgram {
  readonly path: string;
  readonly folder: string;
}

/** Builds one of the programs; the first time takes minutes. */
export function buildPeer(name: 'llama-server' | 'llama-quantize'): PeerProgram {
  if (!existsSync(join(sourceFolder, 'tools'))) {
    const bundle = join(root, 'node_modules/node-llama-cpp/llama/gitRelease.bundle');
    execFileSync('git', ['clone', '--quiet', bundle, sourceFolder], { stdio: 'ignore' });
  }
  const system = process.platform === 'darwin' ? 'mac' : process.platform;
  const configure = [
    ...['-S', join(root, 'tools/peers'), '-B', buildFolder],
    ...[`-DPLATFORM_KEY=${system}-${process.arch}`, `-DLLAMA_CPP_SOURCE_DIR=${sourceFolder}`],
  ];
  const build = ['--build', buildFolder, '--target', name, '--parallel'];
  try {
    execFileSync('cmake', configure, { stdio: 'pipe' });
    execFileSync('cmake', [...build, String(availableParallelism())], { stdio: 'pipe' });
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: Buffer; stderr?: Buffer };
    throw new Error(`${name} did not build\n${`${stdout}\n${stderr}`.slice(-4000)}`);
  }
  return {
    path: join(buildFolder, name),
    folder: readFileSync(join(buildFolder, 'backend-dir'), 'utf8'),
  };
}

/** Starts llama-server as its own defaults have it, but for the number of slots and threads and the context of a slot. */
export async function startLlamaServer(options: {
  readonly modelPath: string;
  readonly slotCount: number;
  readonly contextLength: number;
  readonly threadCount: number;
}): Promise<ServerProcess> {
  const { path, folder } = buildPeer('llama-server');
  const port = await freePort();
  const args = [
    ...['-m', options.modelPath, '--host', '127.0.0.1', '--port', String(port)],
    ...['-np', String(options.slotCount), '-c', String(options.slotCount * options.contextLength)],
    ...['-t', String(options.threadCount)],
    ...(await contextFlags(options.modelPath, options.contextLength)),
  ];
  const child = spawn(path, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const address = `http://127.0.0.1:${port}`;
  return await whenReady(child, (line) => (/listening on http/.test(line) ? address : undefined));
}

/** It cuts a slot to the length that the model was trained for, and this server does not. */
async function contextFlags(modelPath: string, contextLength: number): Promise<string[]> {
  const { metadata } = await readGgufFileInfo(modelPath, {
    sourceType: 'filesystem',
    readTensorInfo: false,
    logWarnings: false,
  });
  const { architecture } = metadata.general;
  const shape = metadata[architecture] as { readonly context_length?: number } | undefined;
  if (contextLength <= (shape?.context_length ?? 0)) return [];
  return ['--override-kv', `${architecture}.context_length=int:${contextLength}`];
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
