/**
 * Preloaded into a server (`node --import`): the process that tries llama.cpp takes its time, so that a test
 * finds the server loading however small the model is.
 */
const delayMs = 1500;

if (process.argv[1]?.endsWith('testBindingBinary.js')) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, delayMs);
}
