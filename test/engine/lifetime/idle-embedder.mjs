// Embedders that nobody holds any more are collected and their threads end; an idle one does not keep the
// process running, a busy one does.
import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { loadModel, startEngine } from './start.mjs';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

const { model } = await loadModel();
const threadCount = () =>
  process.platform === 'linux' ? readdirSync('/proc/self/task').length : 0;
const before = threadCount();
await (async () => {
  const engine = await startEngine(model);
  await engine.embedder.embed(await engine.embedder.prepareInputs(['forgotten']));
})();
for (let round = 0; round < 50 && threadCount() > before; round += 1) {
  collectGarbage();
  await new Promise((resolve) => setTimeout(resolve, 20));
}
console.log(`threads left ${threadCount() - before}`);

const engine = await startEngine(model);
const inputs = await engine.embedder.prepareInputs(Array(200).fill('once upon a time'));
void engine.embedder.embed(inputs).then((vectors) => console.log(`embedded ${vectors.length}`));
