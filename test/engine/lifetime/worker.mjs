// A worker thread loads a model and runs an engine; it closes in order, exits while decoding, or is
// terminated, as the first argument says. With a second argument, another one does the same afterwards.

import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { drainEvents, loadModel, runEndless, startEngine } from './start.mjs';

const [how, again] = process.argv.slice(2);

function startWorker() {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: how });
  worker.on('message', async (message) => {
    console.log(message);
    if (message === 'decoding' && how === 'terminate') await worker.terminate();
  });
  return once(worker, 'exit').then(() => console.log('worker gone'));
}

if (isMainThread) {
  await startWorker();
  if (again !== undefined) await startWorker();
} else {
  const { llama, model } = await loadModel();
  const engine = await startEngine(model);
  const events = await runEndless(engine);
  engine.generator.prepareChat([{ role: 'user', content: 'long '.repeat(20_000) }]).catch(() => {});
  parentPort.postMessage('decoding');
  if (workerData === 'close') {
    const reason = drainEvents(events);
    await engine.close();
    parentPort.postMessage(await reason);
    await model.dispose();
    await llama.dispose();
  } else if (workerData === 'exit') {
    process.exit(0);
  } else {
    await drainEvents(events);
  }
}
