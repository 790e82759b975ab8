import type { LlamaModel } from 'node-llama-cpp';

/** The addon object that a `LlamaModel` keeps to itself; its name is checked with the pinned release. */
export function addonModelOf(model: LlamaModel): object {
  const addonModel = (model as unknown as { readonly _model?: object })._model;
  if (addonModel === undefined) {
    throw new Error('this release of node-llama-cpp hides its model; install the pinned one');
  }
  return addonModel;
}
