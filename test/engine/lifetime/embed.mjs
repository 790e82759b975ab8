// A chat engine that embeds, and is closed, left behind, or ended with its thread, as the first argument
// says.
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { loadModel, runEndless, startEngine } from './start.mjs';

const [, , mode] = process.argv;
const inputs = Array(2048).fill('once upon a time there was a castle by the river');

async function startEmbedding() {
  const { llama, model } = await loadModel();
  const engine = await startEngine(model);
  await runEndless(engine);
  const prepared = await engine.embedder.prepareInputs(inputs);
  const embedding = engine.embedder.embed(prepared).then(
    () => 'embedded',
    (error) => error.code,
  );
  engine.embedder.prepareInputs(inputs).catch(() => {});
  return { llama, model, engine, embedding };
}

async function closeAll({ llama, model, engine, embedding }) {
  await engine.close();
  const ended = await embedding;
  await model.dispose();
  await llama.dispose();
  return ended;
}

if (!isMainThread) {
  const started = await startEmbedding();
  parentPort.postMessage('embedding');
  if (workerData === 'worker-close') parentPort.postMessage(await closeAll(started));
  else process.exit(0);
} else if (mode.startsWith('worker')) {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: mode });
  worker.on('message', (message) => console.log(message));
  worker.on('exit', () => console.log('worker gone'));
} else {
  const started = await startEmbedding();
  console.log('embedding');
  if (mode === 'exit') process.exit(7);
  console.log(await closeAll(started));
}
