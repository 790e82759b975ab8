import { type Static, Type } from 'typebox';

/** Paths are the served id: the folder of the file stays private. */
export const ModelInfo = Type.Object({
  model_path: Type.String(),
  tokenizer_path: Type.String(),
  is_generation: Type.Boolean(),
  preferred_sampling_params: Type.Null(),
  /** `general.architecture` of the file. */
  model_type: Type.String(),
  /** Hugging Face's names of classes, which a GGUF file does not have. */
  architectures: Type.Null(),
  has_image_understanding: Type.Boolean(),
  has_audio_understanding: Type.Boolean(),
});
export type ModelInfo = Static<typeof ModelInfo>;

export const ServerInfo = Type.Object({
  model_path: Type.String(),
  tokenizer_path: Type.String(),
  served_model_name: Type.String(),
  is_embedding: Type.Boolean(),
  /** Tokens of one request. */
  context_length: Type.Integer(),
  /** KV cells that all sequences share. */
  max_total_num_tokens: Type.Integer(),
  max_running_requests: Type.Integer(),
  dp_size: Type.Integer(),
  tp_size: Type.Integer(),
  pp_size: Type.Integer(),
  /** Of this program. */
  version: Type.String(),
  status: Type.Literal('ready'),
  /** One, without numbers. */
  internal_states: Type.Array(Type.Object({})),
});
export type ServerInfo = Static<typeof ServerInfo>;

/** One for each data-parallel worker: this server is one. */
export const WorkerLoads = Type.Array(
  Type.Object({
    dp_rank: Type.Integer(),
    /** Requests that run or wait. */
    num_reqs: Type.Integer(),
    num_waiting_reqs: Type.Integer(),
    /** KV cells of running sequences. */
    num_tokens: Type.Integer(),
  }),
);
export type WorkerLoads = Static<typeof WorkerLoads>;
