/** Prints what the addon hears from NVIDIA's driver, in a process that may be given another one. */
import { createRequire } from 'node:module';
import { getLlama } from 'node-llama-cpp';

const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true });
const require = createRequire(import.meta.url);
const addon = require('../../dist/native/engine-cpu.node');
console.log(JSON.stringify(addon.cudaDriver()));
await llama.dispose();
