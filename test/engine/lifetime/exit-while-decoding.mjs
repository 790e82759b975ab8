import { loadModel, runEndless, startEngine } from './start.mjs';

const { model } = await loadModel();
const engine = await startEngine(model);
await runEndless(engine);
await runEndless(engine);
void engine.generator.prepareChat([{ role: 'user', content: 'long '.repeat(20_000) }]);
console.log('decoding');
if (process.argv[2] === 'throw') throw new Error('nobody catches this');
process.exit(7);
