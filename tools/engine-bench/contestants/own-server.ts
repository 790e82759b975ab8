/** The built server in its own process, started as a user starts it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { GpuName, KvLayout } from '../options.ts';
import type { PromptSource } from '../prompts.ts';
import type { Contestant } from './contestant.ts';
import { connectHttp } from './http.ts';

const program = fileURLToPath(new URL('../../../dist/cli.js', import.meta.url));

export async function startOwnServer(options: {
  readonly modelPath: string;
  readonly gpu: GpuName;
  readonly kvLayout: KvLayout;
  readonly threadCount: number;
  readonly slotCount: number;
  readonly contextLength: number;
  readonly cpuKernels: boolean;
  readonly prompts: PromptSource;
}): Promise<Contestant> {
  if (!existsSync(program)) throw new Error(`${program} is missing: run \`npm run build\` first`);
  const flags = {
    'model-path': options.modelPath,
    gpu: options.gpu,
    'kv-layout': options.kvLayout,
    threads: options.threadCount,
    parallel: options.slotCount,
    ctx: options.contextLength,
    host: '127.0.0.1',
    port: 0,
    'port-health': 0,
    'log-level': 'info',
    'log-format': 'json',
  };
  const child = spawn(
    process.execPath,
    [
      program,
      'serve',
      '--no-auth-enabled',
      options.cpuKernels ? '--cpu-kernels' : '--no-cpu-kernels',
      ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const close = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  };
  try {
    const baseUrl = await addressOf(child);
    return await connectHttp({ name: 'http', baseUrl, prompts: options.prompts, close });
  } catch (error) {
    await close();
    throw error;
  }
}

/** Waits for the `ready` line and returns its address. */
function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines: string[] = [];
    const readLine = (line: string): void => {
      lines.push(line);
      const entry = parseLine(line);
      if (entry.msg === 'ready') resolve(String(entry.address));
    };
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on('line', readLine);
    }
    child.once('error', reject);
    child.once('exit', (code) => {
      reject(new Error(`the server exited with ${code} before it was ready:\n${lines.join('\n')}`));
    });
  });
}

function parseLine(line: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return {};
  }
}
