import { basename } from 'node:path';
import { type Static, Type } from 'typebox';
import type { ServedModel } from '../../model/registry.ts';
import { Capabilities, toCapabilities } from './model-shapes.ts';

/** The properties that llama-server's clients read. */
export const Props = Type.Object({
  default_generation_settings: Type.Object({
    n_ctx: Type.Integer(),
    /** The sampling of a request that names nothing; empty for a model that generates no text. */
    params: Type.Object({}),
  }),
  total_slots: Type.Integer(),
  model_alias: Type.String(),
  /** Only the file's name; its folder stays private. */
  model_path: Type.String(),
  model_ftype: Type.String(),
  modalities: Type.Object({
    vision: Type.Boolean(),
    video: Type.Boolean(),
    audio: Type.Boolean(),
  }),
  /** Equal to those of `/v1/models`. */
  capabilities: Capabilities,
  endpoint_slots: Type.Boolean(),
  endpoint_props: Type.Boolean(),
  /** Jinja text; empty if the model has no template. */
  chat_template: Type.String(),
  bos_token: Type.String(),
  eos_token: Type.String(),
  build_info: Type.String(),
});
export type Props = Static<typeof Props>;

/** Slots are interchangeable: the first ones are shown as busy, as many as sequences run. */
export const Slots = Type.Array(
  Type.Object({
    id: Type.Integer(),
    n_ctx: Type.Integer(),
    speculative: Type.Boolean(),
    is_processing: Type.Boolean(),
  }),
);
export type Slots = Static<typeof Slots>;

/** @param version - of this program */
export function toProps({ card, engine }: ServedModel, version: string): Props {
  const { slotCount, contextLength } = engine.info;
  const params = engine.generator?.describeSampling() ?? {};
  return {
    default_generation_settings: { n_ctx: contextLength, params },
    total_slots: slotCount,
    model_alias: card.id,
    model_path: basename(card.path),
    model_ftype: card.quantization ?? '',
    modalities: { vision: false, video: false, audio: false },
    capabilities: toCapabilities(engine),
    endpoint_slots: true,
    endpoint_props: false,
    chat_template: card.chatTemplate ?? '',
    bos_token: card.bosToken ?? '',
    eos_token: card.eosToken ?? '',
    build_info: `llama-gguf-inference ${version}`,
  };
}

export function toSlots({ engine }: ServedModel): Slots {
  const { slotCount, contextLength, speculative } = engine.info;
  const { runningCount } = engine.stats();
  return Array.from({ length: slotCount }, (_, id) => ({
    id,
    n_ctx: contextLength,
    speculative: speculative !== undefined,
    is_processing: id < runningCount,
  }));
}
