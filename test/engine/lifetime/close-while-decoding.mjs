import { drainEvents, loadModel, runEndless, startEngine } from './start.mjs';

const { llama, model } = await loadModel();
const engine = await startEngine(model);
const running = [await runEndless(engine), await runEndless(engine)];
const waiting = engine.generator.generate({
  prompt: await engine.generator.prepareChat([{ role: 'user', content: 'no slot is free' }]),
});
const reasons = [...running, waiting].map(drainEvents);
await new Promise(setImmediate);
const preparing = engine.generator.prepareChat([{ role: 'user', content: 'long '.repeat(20_000) }]);
await Promise.all([engine.close(), engine.close()]);
await engine.close();
console.log((await Promise.all(reasons)).join(' '));
console.log((await preparing).tokenCount > 0);
const late = engine.generator.prepareChat([{ role: 'user', content: 'late' }]);
console.log(
  await late.then(
    () => 'accepted',
    (error) => error.code,
  ),
);
await model.dispose();
await llama.dispose();
