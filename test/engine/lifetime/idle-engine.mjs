// An idle engine that was not closed does not keep the process running; a busy one does.
import { loadModel, startEngine } from './start.mjs';

const { model } = await loadModel();
const engine = await startEngine(model);
const prompt = await engine.generator.prepareChat([{ role: 'user', content: 'short' }]);
void (async () => {
  let tokens = 0;
  for await (const event of engine.generator.generate({ prompt, maxTokens: 50 })) {
    if (event.type === 'sequence-end') tokens = event.usage.completionTokenCount;
  }
  console.log(`finished ${tokens}`);
})();
