/**
 * Preloaded into a server (`node --import`): the process that tries llama.cpp waits until the file `TEST_TRIAL_GATE`
 * exists, so that a server goes on loading for as long as a test wants, however small the model is.
 */
import { existsSync } from 'node:fs';

const gate = process.env.TEST_TRIAL_GATE;
const parent = process.ppid;

if (gate !== undefined && process.argv[1]?.endsWith('testBindingBinary.js')) {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  while (!existsSync(gate)) {
    Atomics.wait(pause, 0, 0, 20);
    // The server has ended without it.
    if (process.ppid !== parent) process.exit(1);
  }
}
