/** The contestant `ik_llama.cpp`: its own benchmark of batches, which chooses no tokens. */
import { spawnSync } from 'node:child_process';
import { buildIkBatchedBench } from '../../peers/ik-llama-cpp.ts';
import type { Contestant } from './contestant.ts';

export function startIkLlamaCpp(options: {
  readonly modelPath: string;
  readonly threadCount: number;
}): Contestant {
  const program = buildIkBatchedBench();
  return {
    name: 'ik_llama.cpp',
    async run({ streamCount, promptTokenCount, completionTokenCount }) {
      // It writes its table among its log, on standard error.
      const { stdout, stderr } = spawnSync(
        program,
        // Its flash attention ends the process where a batch has several sequences (assertion `S > 0`).
        ['-no-fa'].concat(
          Object.entries({
            '-m': options.modelPath,
            '-t': options.threadCount,
            '-c': streamCount * (promptTokenCount + completionTokenCount),
            '-npp': promptTokenCount,
            '-ntg': completionTokenCount,
            '-npl': streamCount,
          }).flatMap(([flag, value]) => [flag, String(value)]),
        ),
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
      );
      return {
        seconds: secondsOf(`${stdout}${stderr}`),
        promptTokenCount: streamCount * promptTokenCount,
        completionTokenCount: streamCount * completionTokenCount,
      };
    },
    async close() {},
  };
}

/** The last row of the table is `| PP | TG | B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s | T s | S t/s |`. */
function secondsOf(output: string): number {
  const rows = output.split('\n').filter((line) => /^\| +\d/.test(line));
  const seconds = Number(rows.at(-1)?.split('|')[9]);
  if (!(seconds > 0)) throw new Error(`llama-batched-bench printed no time\n${output}`);
  return seconds;
}
