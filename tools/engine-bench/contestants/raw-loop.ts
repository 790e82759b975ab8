/** The reference `limit`: a C++ program that only calls llama_decode, on the same libraries. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { GpuName } from '../options.ts';
import type { PromptSource } from '../prompts.ts';
import type { Contestant, Measurement, Workload } from './contestant.ts';

const benchFolder = fileURLToPath(new URL('..', import.meta.url));

/** The program's answer to one round. Its first line of output reports only that the model is loaded. */
interface RoundAnswer {
  readonly prefillSeconds: number;
  readonly decodeSeconds: number;
  readonly promptTokenCount: number;
  readonly completionTokenCount: number;
}

export async function startRawLoop(options: {
  readonly modelPath: string;
  readonly gpu: GpuName;
  readonly threadCount: number;
  readonly contextLength: number;
  readonly prompts: PromptSource;
}): Promise<Contestant> {
  const variant = options.gpu === 'off' ? 'cpu' : options.gpu;
  const buildFolder = join(benchFolder, '..', '..', 'build', 'bench', `raw-loop-${variant}`);
  build(buildFolder, variant);
  const backendFolder = readFileSync(join(buildFolder, 'backend-dir'), 'utf8');
  const { modelPath, threadCount, contextLength, prompts } = options;
  const child = spawn(
    join(buildFolder, 'raw-loop'),
    [modelPath, backendFolder, String(threadCount), String(contextLength), options.gpu],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  // A write error after a crash is ignored, because the end of stdout reports the crash.
  child.stdin.on('error', () => {});
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextAnswer = async (): Promise<string> => {
    const answer = await answers.next();
    if (answer.done === true)
      throw new Error('the raw loop has exited; its error is printed above');
    return answer.value;
  };
  await nextAnswer();
  return {
    name: 'limit',
    async run(workload) {
      send(child.stdin, workload, prompts);
      return toMeasurement(JSON.parse(await nextAnswer()) as RoundAnswer);
    },
    async close() {
      if (child.exitCode !== null) return;
      child.stdin.end();
      await once(child, 'exit');
    },
  };
}

/** Runs CMake every time; a build that is up to date takes a tenth of a second. */
function build(buildFolder: string, variant: string): void {
  try {
    const key = `-DPLATFORM_KEY=${process.platform === 'darwin' ? 'mac' : process.platform}-${process.arch}`;
    const configure = ['-S', benchFolder, '-B', buildFolder, key, `-DVARIANT=${variant}`];
    execFileSync('cmake', configure, { stdio: 'pipe' });
    execFileSync('cmake', ['--build', buildFolder], { stdio: 'pipe' });
  } catch (error) {
    const output = error instanceof Error && 'stdout' in error ? String(error.stdout) : '';
    throw new Error(`the raw loop did not build\n${output}`, { cause: error });
  }
}

function send(
  input: NodeJS.WritableStream,
  { streamCount, promptTokenCount, completionTokenCount }: Workload,
  prompts: PromptSource,
): void {
  const lines = prompts
    .take(streamCount, promptTokenCount)
    .map((prompt) => `${prompt.tokens.join(' ')}\n`);
  input.write(`${streamCount} ${completionTokenCount}\n${lines.join('')}`);
}

function toMeasurement(answer: RoundAnswer): Measurement {
  const { prefillSeconds, decodeSeconds, ...counts } = answer;
  return { seconds: prefillSeconds + decodeSeconds, ...counts };
}
