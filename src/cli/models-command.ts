/** Lists, downloads, describes and deletes models. */
import { lstat, realpath, rm, unlink } from 'node:fs/promises';
import type { ModelPlaces } from '../config/model-places.ts';
import { failureText } from '../core/failure-text.ts';
import { quote } from '../core/quote.ts';
import { StartError } from '../core/start-error.ts';
import { inGigabytes } from '../hub/download.ts';
import { findModel, listLocalModels } from '../hub/local-models.ts';
import { locateModel } from '../hub/locate-model.ts';
import { neutralise } from '../log/log.ts';
import { describeModelFile } from '../model/source.ts';
import { partPathsOf } from '../model/split.ts';
import { present, readFlags } from '../terminal/flags.ts';
import { createLoadProgress } from '../terminal/load-progress.ts';
import { toTable } from '../terminal/table.ts';

/** The surroundings of the `models` command. */
export interface ModelsInput {
  readonly argv: readonly string[];
  readonly places: ModelPlaces;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Ends a download. */
  readonly stop: AbortSignal;
}

export const modelsHelp = `Usage: llama-gguf-inference models COMMAND

  list         the models on this machine, in the folders of this program and of others
  pull MODEL   download a model: hf:OWNER/REPOSITORY[:QUANTIZATION], or the URL of a GGUF file
  info MODEL   what its file says
  rm MODEL     delete a downloaded model

  --json       answer with JSON
  --help       this text

\`serve MODEL\` takes the names of the list. Downloads go to the cache of the Hugging Face hub (HF_HOME),
where other programs find them; an interrupted one goes on where it was.

Exit codes: 0 done, 1 failed, 2 wrong arguments or no such model.
`;

const flags = { json: { kind: present() }, help: { kind: present(), short: 'h' } };

/** Owners of folders in which this program deletes. */
const deletable: ReadonlySet<string> = new Set(['Hugging Face', 'URLs']);

/** Returns the exit code; a failure has been reported by then. */
export async function runModels(input: ModelsInput): Promise<number> {
  try {
    await run(input);
    return 0;
  } catch (error) {
    input.err(`Error: ${neutralise(failureText(error))}\n`);
    return error instanceof StartError ? error.exitCode : 1;
  }
}

async function run(input: ModelsInput): Promise<void> {
  const { values, words, problems } = readFlags(input.argv, flags, { maxWords: 2 });
  const [command = 'list', model] = words;
  if (values.help === true) return input.out(modelsHelp);
  const [problem] = problems;
  if (problem !== undefined) throw new StartError(2, problem);
  const asJson = values.json === true;
  if (command === 'list') return list(input, asJson);
  const work = { pull, info, rm: remove }[command];
  if (work === undefined) {
    throw new StartError(2, `unknown command ${quote(command)} (commands: list, pull, info, rm)`);
  }
  if (model === undefined) throw new StartError(2, `models ${command} needs a model`);
  await work(input, model, asJson);
}

async function list({ places, out }: ModelsInput, asJson: boolean): Promise<void> {
  const models = await listLocalModels(places);
  if (asJson) return out(`${JSON.stringify(models)}\n`);
  if (models.length === 0) {
    return out('There are no models on this machine; `models pull` brings one.\n');
  }
  const rows = models.map(({ name, sizeBytes, owner }) => [name, inGigabytes(sizeBytes), owner]);
  out(`${toTable([['name', 'size', 'in the folder of'], ...rows])}\n`);
}

async function pull(input: ModelsInput, text: string, asJson: boolean): Promise<void> {
  const { places, stop, out, err } = input;
  const model = await locateModel(text, places, { signal: stop });
  const log = { info: (fields: object, label: string) => err(`${label} ${lineOf(fields)}\n`) };
  const progress = createLoadProgress(log, process.stderr, Date.now, 'downloading model');
  const path = await model
    .fetch({
      signal: stop,
      onProgress: (done, total) =>
        progress.update(total === 0 ? 0 : done / total, `${inGigabytes(done)}`),
      onNote: (note) => err(`${note}\n`),
    })
    .finally(() => progress.end());
  out(asJson ? `${JSON.stringify({ name: model.name, path })}\n` : `${path}\n`);
}

function lineOf(fields: object): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}

async function info(
  { places, out, stop }: ModelsInput,
  text: string,
  asJson: boolean,
): Promise<void> {
  const { path, origin } = await locateModel(text, places, { signal: stop });
  if (path === undefined) {
    throw new StartError(2, `${origin} is not on this machine: \`models pull\` brings it`);
  }
  const described = describeModelFile(path);
  if (asJson) return out(`${JSON.stringify(described)}\n`);
  const rows = Object.entries(described).map(([name, value]) => [name, String(value ?? 'unknown')]);
  const width = Math.max(...rows.map(([name = '']) => name.length));
  out(rows.map(([name = '', value]) => `${name.padEnd(width)}  ${value}\n`).join(''));
}

async function remove({ places, out }: ModelsInput, name: string): Promise<void> {
  const model = findModel(await listLocalModels(places), name);
  if (model === undefined) {
    throw new StartError(
      2,
      `there is no model ${quote(name)} on this machine; \`models list\` shows all`,
    );
  }
  if (!deletable.has(model.owner)) {
    throw new StartError(
      2,
      `${model.path} was not downloaded by this program (${model.owner}); delete it with the program it belongs to`,
    );
  }
  const paths = partPathsOf(model.path);
  for (const path of paths) await deleteFile(path);
  out(`${paths.join('\n')}\n`);
}

/** In the cache of the hub a file is a link to its bytes. */
async function deleteFile(path: string): Promise<void> {
  const isLink = (await lstat(path)).isSymbolicLink();
  const target = isLink ? await realpath(path) : undefined;
  await unlink(path);
  if (target !== undefined) await rm(target, { force: true });
}
