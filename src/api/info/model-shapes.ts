import { type Static, Type } from 'typebox';
import type { Engine } from '../../engine/engine.ts';
import type { ServedModel } from '../../model/registry.ts';

/** What a model supports. */
export const Capabilities = Type.Object({
  chat: Type.Boolean(),
  completion: Type.Boolean(),
  tools: Type.Boolean(),
  thinking: Type.Boolean(),
  infill: Type.Boolean(),
  embeddings: Type.Boolean(),
  rerank: Type.Boolean(),
});
export type Capabilities = Static<typeof Capabilities>;

/** OpenAI's model object and Anthropic's in one, and further fields from the GGUF file. */
export const Model = Type.Object({
  id: Type.String(),
  object: Type.Literal('model'),
  created: Type.Integer(),
  owned_by: Type.String(),
  /** From here on Anthropic's names. */
  type: Type.Literal('model'),
  display_name: Type.String(),
  created_at: Type.String(),
  max_input_tokens: Type.Integer(),
  max_tokens: Type.Integer(),
  /** The names of vLLM: the model itself, and none that it is an adapter of. */
  root: Type.String(),
  parent: Type.Null(),
  /** vLLM's name of `context_length`. */
  max_model_len: Type.Integer(),
  context_length: Type.Integer(),
  trained_context_length: Type.Union([Type.Integer(), Type.Null()]),
  architecture: Type.String(),
  parameter_count: Type.Integer(),
  quantization: Type.Union([Type.String(), Type.Null()]),
  size_bytes: Type.Integer(),
  bundled: Type.Boolean(),
  /** Values of a vector; null without embeddings. */
  embedding_length: Type.Union([Type.Integer(), Type.Null()]),
  capabilities: Capabilities,
  /** The same numbers under llama-server's names. */
  meta: Type.Object({
    n_vocab: Type.Integer(),
    n_ctx: Type.Integer(),
    n_ctx_train: Type.Union([Type.Integer(), Type.Null()]),
    n_embd: Type.Integer(),
    n_params: Type.Integer(),
    size: Type.Integer(),
  }),
});
export type Model = Static<typeof Model>;

export const ModelList = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(Model),
  /** Of Anthropic's pages, of which there is one. */
  has_more: Type.Literal(false),
  first_id: Type.Union([Type.String(), Type.Null()]),
  last_id: Type.Union([Type.String(), Type.Null()]),
});
export type ModelList = Static<typeof ModelList>;

/** @param model - undefined for a key that may not use it */
export function toModelList(model: ServedModel | undefined): ModelList {
  const id = model?.card.id ?? null;
  const data = model === undefined ? [] : [toModel(model)];
  return { object: 'list', data, has_more: false, first_id: id, last_id: id };
}

export function toModel({ card, engine }: ServedModel): Model {
  const { contextLength, embedding, vocabularySize } = engine.info;
  const capabilities = toCapabilities(engine);
  return {
    id: card.id,
    object: 'model',
    created: card.created,
    owned_by: 'llama-gguf-inference',
    type: 'model',
    display_name: card.id,
    created_at: new Date(card.created * 1000).toISOString(),
    max_input_tokens: contextLength,
    max_tokens: contextLength,
    root: card.id,
    parent: null,
    max_model_len: contextLength,
    context_length: contextLength,
    trained_context_length: card.trainedContextLength ?? null,
    architecture: card.architecture,
    parameter_count: card.parameterCount,
    quantization: card.quantization ?? null,
    size_bytes: card.sizeBytes,
    bundled: card.bundled,
    embedding_length: capabilities.embeddings ? embedding.width : null,
    capabilities,
    meta: {
      n_vocab: vocabularySize,
      n_ctx: contextLength,
      n_ctx_train: card.trainedContextLength ?? null,
      n_embd: embedding.width,
      n_params: card.parameterCount,
      size: card.sizeBytes,
    },
  };
}

export function toCapabilities({ generator, info }: Engine): Capabilities {
  const { chat, infill, embedding } = info;
  const generates = generator !== undefined;
  return {
    chat: generates,
    completion: generates,
    tools: chat.tools,
    thinking: chat.thinking,
    infill,
    embeddings: embedding.pooling !== 'rank',
    rerank: embedding.pooling === 'rank',
  };
}
