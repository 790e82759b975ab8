// Garbage is collected all the time while an engine starts, generates and closes with nobody but the
// pending calls to hold it.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { loadModel, startEngine } from './start.mjs';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

const { llama, model } = await loadModel();
const timer = setInterval(collectGarbage, 20);

async function startAndGenerate() {
  const engine = await startEngine(model);
  const prompt = await engine.generator.prepareChat([{ role: 'user', content: 'short' }]);
  return [engine.generator.generate({ prompt, maxTokens: 100 }), engine];
}

async function generateAlone() {
  const [events] = await startAndGenerate();
  let tokens = 0;
  for await (const event of events) {
    if (event.type === 'sequence-end') tokens = event.usage.completionTokenCount;
  }
  return tokens;
}

console.log(await generateAlone());
await startAndGenerate().then(([, engine]) => engine.close());
console.log('closed');
clearInterval(timer);
await model.dispose();
await llama.dispose();
