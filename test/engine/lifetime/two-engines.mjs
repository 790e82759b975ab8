// Two engines over one model in one process, closed one after the other, do not know of each other.
import { loadModel, startEngine } from './start.mjs';

const { llama, model } = await loadModel();
const engines = [await startEngine(model), await startEngine(model, { slotCount: 1 })];

async function complete(engine, content) {
  const prompt = await engine.generator.prepareChat([{ role: 'user', content }]);
  let text = '';
  const sampling = { temperature: 0 };
  for await (const event of engine.generator.generate({ prompt, maxTokens: 30, sampling })) {
    if (event.type === 'text-delta') text += event.text;
  }
  return text;
}

const together = await Promise.all(engines.map((engine) => complete(engine, 'the same')));
console.log(together[0] === together[1] && together[0].length > 0);
await engines[0].close();
console.log((await complete(engines[1], 'the same')) === together[1]);
await engines[1].close();
const third = await startEngine(model);
console.log((await complete(third, 'the same')) === together[0]);
await third.close();
await model.dispose();
await llama.dispose();
