import { type Static, Type } from 'typebox';
import type { ServedModel } from '../../model/registry.ts';

/** OpenAI's model object, and what the GGUF file says beyond it. */
export const Model = Type.Object({
  id: Type.String(),
  object: Type.Literal('model'),
  created: Type.Integer(),
  owned_by: Type.String(),
  context_length: Type.Integer(),
  trained_context_length: Type.Union([Type.Integer(), Type.Null()]),
  architecture: Type.String(),
  parameter_count: Type.Integer(),
  quantization: Type.Union([Type.String(), Type.Null()]),
  size_bytes: Type.Integer(),
  bundled: Type.Boolean(),
  capabilities: Type.Object({
    chat: Type.Boolean(),
    completion: Type.Boolean(),
    tools: Type.Boolean(),
    thinking: Type.Boolean(),
    infill: Type.Boolean(),
    embeddings: Type.Boolean(),
  }),
});
export type Model = Static<typeof Model>;

export const ModelList = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(Model),
});
export type ModelList = Static<typeof ModelList>;

export function toModel({ card, engine }: ServedModel): Model {
  const { contextLength, infill, chat } = engine.info;
  return {
    id: card.id,
    object: 'model',
    created: card.created,
    owned_by: 'llama-gguf-inference',
    context_length: contextLength,
    trained_context_length: card.trainedContextLength ?? null,
    architecture: card.architecture,
    parameter_count: card.parameterCount,
    quantization: card.quantization ?? null,
    size_bytes: card.sizeBytes,
    bundled: card.bundled,
    capabilities: {
      chat: true,
      completion: true,
      tools: chat.tools,
      thinking: chat.thinking,
      infill,
      embeddings: false,
    },
  };
}
