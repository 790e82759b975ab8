/** Small endpoints of SGLang that its router reads, to name the model of a worker and to compare loads. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { modelErrors, type RouteDoc } from '../../core/route-doc.ts';
import type { ModelRegistry } from '../../model/registry.ts';
import type { Metrics } from '../../observe/metrics/metrics.ts';
import { ModelInfo, ServerInfo, WorkerLoads } from './sglang-shapes.ts';

/** What the routes need. */
export interface SglangDeps {
  readonly models: ModelRegistry;
  readonly metrics: Metrics;
  /** Of this program. */
  readonly version: string;
}

export const sglang: FastifyPluginAsyncTypebox<SglangDeps> = async (
  app,
  { models, metrics, version },
) => {
  app.get('/model_info', { config: { doc: modelDoc } }, async (): Promise<ModelInfo> => {
    const { card, engine } = models.require();
    return {
      model_path: card.id,
      tokenizer_path: card.id,
      is_generation: engine.generator !== undefined,
      preferred_sampling_params: null,
      model_type: card.architecture,
      architectures: null,
      has_image_understanding: false,
      has_audio_understanding: false,
    };
  });

  app.get('/server_info', { config: { doc: serverDoc } }, async (): Promise<ServerInfo> => {
    const { card, engine } = models.require();
    const { slotCount, contextLength, kvTokenCount } = engine.info;
    return {
      model_path: card.id,
      tokenizer_path: card.id,
      served_model_name: card.id,
      is_embedding: engine.generator === undefined,
      context_length: contextLength,
      max_total_num_tokens: kvTokenCount,
      max_running_requests: slotCount,
      dp_size: 1,
      tp_size: 1,
      pp_size: 1,
      version,
      status: 'ready',
      internal_states: [{}],
    };
  });

  app.get(
    '/get_load',
    { config: { access: 'key', doc: loadDoc } },
    async (): Promise<WorkerLoads> => {
      const { runningCount, waitingCount, usedKvTokenCount } = metrics.load;
      return [
        {
          dp_rank: 0,
          num_reqs: runningCount + waitingCount,
          num_waiting_reqs: waitingCount,
          num_tokens: usedKvTokenCount,
        },
      ];
    },
  );
};

const modelDoc: RouteDoc = {
  operationId: 'getModelInfo',
  tag: 'Models',
  summary: 'Get the properties of the model, in the form of SGLang',
  reply: { name: 'ModelInfo', schema: ModelInfo },
  errors: modelErrors,
};

const serverDoc: RouteDoc = {
  operationId: 'getServerInfo',
  tag: 'Server',
  summary: 'Get the properties of the server, in the form of SGLang',
  reply: { name: 'ServerInfo', schema: ServerInfo },
  errors: modelErrors,
};

const loadDoc: RouteDoc = {
  operationId: 'getLoad',
  tag: 'Server',
  summary: 'Get the load of the server, in the form of SGLang',
  reply: { name: 'WorkerLoads', schema: WorkerLoads },
};
