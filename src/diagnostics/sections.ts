/** The sections of a diagnosis. Each returns a text and never fails: where a value is not available, the text says why. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statfsSync } from 'node:fs';
import { arch, cpus, freemem, loadavg, platform, release, totalmem, uptime } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Config } from '../config/config.ts';
import { readGgufHeader } from '../model/gguf-header.ts';
import { availableMemoryBytes, usableCoreCount } from '../model/machine.ts';
import { resolveModelSource } from '../model/source.ts';

/** Timeout of the server, and of a tool. */
const patienceMs = 3000;
/** How many of the last lines of each log file are taken. */
const logLineCount = 500;
/** How many of the last lines with errors are taken. */
const errorLineCount = 20;

const mebibyte = 2 ** 20;

export function systemInfo({ model }: Config): string {
  const mib = (bytes: number) => `${Math.round(bytes / mebibyte)} MiB`;
  const disk = attempt(() => {
    const { bavail, bsize } = statfsSync(existsSync(model.modelsDir) ? model.modelsDir : '.');
    return mib(bavail * bsize);
  });
  return lines({
    system: `${platform()} ${release()} ${arch()}`,
    node: process.versions.node,
    cpu: `${cpus()[0]?.model ?? 'unknown'} x ${cpus().length}`,
    'usable cores': usableCoreCount(),
    load: loadavg()
      .map((value) => value.toFixed(2))
      .join(' '),
    memory: `${mib(totalmem())}, ${mib(freemem())} free, ${mib(availableMemoryBytes())} for this program`,
    'free disk': disk,
    uptime: `${Math.round(uptime())} s`,
  });
}

export async function gpuInfo(): Promise<string> {
  const query = 'name,driver_version,memory.total,memory.used,utilization.gpu';
  const nvidia = await output('nvidia-smi', [`--query-gpu=${query}`, '--format=csv']);
  const devices = ['/dev/nvidia0', '/dev/nvidiactl', '/dev/dri', '/dev/kfd'].filter(existsSync);
  return `${nvidia}\ndevices: ${devices.join(' ') || 'none'}\n`;
}

export function containerInfo(): string {
  const files = ['memory.max', 'memory.current', 'memory.events', 'cpu.max', 'pids.max'];
  const limits = files.map((name) => [name, readText(join('/sys/fs/cgroup', name))]);
  return lines({
    container: existsSync('/.dockerenv') || existsSync('/run/.containerenv'),
    user: `${process.getuid?.() ?? '-'}:${process.getgid?.() ?? '-'}`,
    ...Object.fromEntries(limits),
  });
}

/** Names and sizes, without command lines, which may contain secrets. */
export function processes(): string {
  const ids = attempt(() => readdirSync('/proc').filter((name) => /^\d+$/.test(name)));
  if (typeof ids === 'string') return `${ids}\n`;
  const rows = ids.map((id) => {
    const status = readText(`/proc/${id}/status`);
    const field = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1] ?? '-';
    return [id, field('PPid'), field('State'), field('VmRSS'), field('Threads'), field('Name')];
  });
  return [['pid', 'parent', 'state', 'resident', 'threads', 'name'], ...rows]
    .map((row) => row.join('\t'))
    .join('\n')
    .concat('\n');
}

export function modelInfo({ model }: Config): string {
  return asText(() => {
    const { notes: _, ...source } = resolveModelSource(model);
    const { metadata, tensorCount, version } = readGgufHeader(source.path);
    const entries = [...metadata].map(([key, value]) => [
      key,
      typeof value === 'object' ? `${value.arrayLength} entries` : value,
    ]);
    return { source, gguf: { version, tensorCount, metadata: Object.fromEntries(entries) } };
  });
}

/** Answers of the running server, if one runs. */
export async function healthStatus({ server }: Config): Promise<string> {
  const host = ['0.0.0.0', '::'].includes(server.host) ? '127.0.0.1' : server.host;
  const urlHost = host.includes(':') ? `[${host}]` : host;
  const api = `${server.tls === undefined ? 'http' : 'https'}://${urlHost}:${server.port}`;
  const urls = [
    ...['/ping', '/health', '/metrics?format=json'].map((path) => `${api}${path}`),
    ...['/live', '/ready'].map((path) => `http://${urlHost}:${server.healthPort}${path}`),
  ];
  const answers = await Promise.all(
    urls.map(async (url) => {
      try {
        const reply = await fetch(url, { signal: AbortSignal.timeout(patienceMs) });
        return `${url}: ${reply.status}\n${(await reply.text()).slice(0, 20_000)}\n`;
      } catch (error) {
        return `${url}: no answer (${reasonOf(error)})\n`;
      }
    }),
  );
  return answers.join('\n');
}

/** The last lines of the newest log files, by their names in the diagnosis. */
export function logTails({ log }: Config): ReadonlyMap<string, string> {
  const tails = new Map<string, string>();
  if (log.files === undefined) return tails;
  const { folder, name } = log.files;
  const paths: Record<string, string | undefined> = {
    boot: newest(join(folder, '_boot'), '_boot_'),
    server: newest(join(folder, name), '_server_'),
    supervisor: newest(join(folder, name), '_supervisor_'),
    api_access: join(folder, 'api_access.log'),
  };
  for (const [key, path] of Object.entries(paths)) {
    if (path === undefined || !existsSync(path)) continue;
    const text = readText(path).trimEnd().split('\n').slice(-logLineCount).join('\n');
    tails.set(`logs/${key}.log`, `${text}\n`);
  }
  return tails;
}

/** The last lines with errors or warnings, over all log files. */
export function errorLines(tails: ReadonlyMap<string, string>): string {
  const found = [...tails].flatMap(([name, text]) =>
    text
      .split('\n')
      .filter((line) => /\b(?:error|fatal|warn|failed|crashed)\b/i.test(line))
      .map((line) => `${name}: ${line}`),
  );
  return `${found.slice(-errorLineCount).join('\n') || 'none found'}\n`;
}

function newest(folder: string, kind: string): string | undefined {
  const names = attempt(() => readdirSync(folder));
  if (typeof names === 'string') return undefined;
  const last = names
    .filter((name) => name.includes(kind) && name.endsWith('.log'))
    .sort()
    .at(-1);
  return last === undefined ? undefined : join(folder, last);
}

async function output(command: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(command, args, { timeout: patienceMs });
    return stdout.trimEnd();
  } catch (error) {
    return `${command}: ${reasonOf(error)}`;
  }
}

function asText(make: () => object): string {
  const made = attempt(() => {
    const plain = (_key: string, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value;
    return JSON.stringify(make(), plain, 2);
  });
  return `${made}\n`;
}

function readText(path: string): string {
  return String(attempt(() => readFileSync(path, 'utf8').trimEnd()));
}

/** The result of `make`, or why it failed. */
function attempt<T>(make: () => T): T | string {
  try {
    return make();
  } catch (error) {
    return `not available: ${reasonOf(error)}`;
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? error.cause : error;
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message;
}

function lines(fields: Readonly<Record<string, unknown>>): string {
  return `${Object.entries(fields)
    .map(([key, value]) => `${key}: ${String(value).replaceAll('\n', ', ')}`)
    .join('\n')}\n`;
}
