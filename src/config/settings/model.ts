import { choice, layerCount, text, truth, url, wordOf } from '../../core/value-kinds.ts';
import { setting } from '../setting.ts';

/** Which model is served, and where its weights go. */
export const modelSettings = {
  MODEL: setting({
    at: 'model.reference',
    kind: text('MODEL'),
    fallbackText: 'the bundled model',
    summary:
      'model to serve: a GGUF file, hf:OWNER/REPOSITORY[:QUANTIZATION], the URL of a file, or the name of a model on this machine; `serve MODEL` is the same',
  }),
  MODEL_PATH: setting({
    at: 'model.path',
    kind: text('PATH'),
    fallbackText: 'the bundled model',
    summary: 'GGUF file to serve; wins over MODEL_NAME',
  }),
  MODEL_NAME: setting({
    at: 'model.name',
    kind: text('NAME'),
    fallbackText: 'none',
    summary: 'GGUF file under MODELS_DIR to serve',
  }),
  MODELS_DIR: setting({
    kind: text('PATH'),
    fallbackText: '$DATA_DIR/models',
    summary: 'folder that contains MODEL_NAME',
  }),
  DATA_DIR: setting({
    kind: text('PATH'),
    fallbackText:
      'the first of /data, /runpod-volume, /workspace in use, else ~/.local/share/llama-gguf-inference',
    summary: 'base folder of models, keys and logs',
  }),
  HF_TOKEN: setting({
    kind: text('TOKEN'),
    fallbackText: 'that of `hf auth login`',
    summary: 'token for models on the Hugging Face hub that not everybody may read',
    secret: true,
  }),
  HF_ENDPOINT: setting({
    kind: url('http:', 'https:'),
    fallback: 'https://huggingface.co',
    summary: 'the Hugging Face hub, or a mirror of it',
  }),
  HF_HOME: setting({
    kind: text('PATH'),
    fallbackText: '~/.cache/huggingface; in a container $DATA_DIR/cache/huggingface',
    summary: 'folder of the files of the hub, shared with other programs',
  }),
  HF_HUB_CACHE: setting({
    kind: text('PATH'),
    fallbackText: '$HF_HOME/hub',
    summary: 'folder of downloaded models',
  }),
  HF_HUB_OFFLINE: setting({
    kind: truth(),
    fallback: false,
    summary: 'serve models of the hub from the cache alone',
  }),
  MODEL_ALIAS: setting({
    at: 'model.alias',
    kind: text('ID'),
    fallbackText: 'file name without .gguf',
    summary: 'model id that clients see',
  }),
  MOCK_BACKEND: setting({
    at: 'model.mockBackend',
    kind: truth(),
    fallback: false,
    summary: 'serve the bundled model, to try a deployment without a real one',
  }),
  STRICT_MODEL: setting({
    at: 'server.strictModel',
    kind: truth(),
    fallback: false,
    summary: 'refuse requests that name another model than the served one',
  }),
  GPU: setting({
    at: 'model.gpu',
    kind: choice('auto', 'cuda', 'vulkan', 'metal', 'off'),
    fallback: 'auto',
    summary: 'compute backend: auto, cuda, vulkan, metal, off',
  }),
  NGL: setting({
    at: 'model.gpuLayers',
    kind: layerCount(),
    fallback: 'auto',
    summary: 'layers on the GPU: auto = as many as fit, max or 99 = all, 0 = none',
  }),
  CHAT_TEMPLATE: setting({
    kind: text('JINJA'),
    fallbackText: "the model's",
    summary: "chat template that replaces the model's own",
  }),
  CHAT_TEMPLATE_FILE: setting({
    kind: text('PATH'),
    fallbackText: "the model's",
    summary: 'file that contains the chat template',
  }),
  REASONING: setting({
    at: 'engine.thinking',
    kind: wordOf({ auto: 'auto', on: true, off: false }),
    fallback: 'auto',
    none: 'auto',
    summary:
      'whether the model reasons before it answers, unless the request says; auto = the default of the chat template',
  }),
  REASONING_FIELD: setting({
    at: 'server.reasoningField',
    kind: choice('reasoning_content', 'reasoning', 'both'),
    fallback: 'reasoning_content',
    summary:
      'the field of the reasoning in replies; both also for requests in the form of OpenRouter',
  }),
};
