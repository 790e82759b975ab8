import type { LlamaModel } from 'node-llama-cpp';

/** node-llama-cpp's private addon object behind a `LlamaModel`. Its name belongs to the pinned release. */
export function addonModelOf(model: LlamaModel): object {
  const addonModel = (model as unknown as { readonly _model?: object })._model;
  if (addonModel === undefined) {
    throw new Error('this release of node-llama-cpp hides its model; install the pinned one');
  }
  return addonModel;
}
