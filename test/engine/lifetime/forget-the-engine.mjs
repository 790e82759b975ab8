// An engine that nobody holds any more is collected, its thread ends, and the process can end too.
import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { loadModel, startEngine } from './start.mjs';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

const { llama, model } = await loadModel();
const threadCount = () =>
  process.platform === 'linux' ? readdirSync('/proc/self/task').length : 0;

const before = threadCount();
let collected = 0;
const registry = new FinalizationRegistry(() => {
  collected += 1;
});
await (async () => {
  for (let index = 0; index < 3; index += 1) {
    const engine = await startEngine(model);
    const prompt = await engine.generator.prepareChat([{ role: 'user', content: 'short' }]);
    for await (const event of engine.generator.generate({ prompt, maxTokens: 3 })) void event;
    registry.register(engine, index);
  }
})();
for (let round = 0; round < 50 && (collected < 3 || threadCount() > before); round += 1) {
  collectGarbage();
  await new Promise((resolve) => setTimeout(resolve, 20));
}
console.log(`collected ${collected}, threads left ${threadCount() - before}`);
await model.dispose();
await llama.dispose();
