/** Small endpoints of vLLM that its routers, and evaluations with a remote tokenizer, read. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { modelErrors, type RouteDoc } from '../../core/route-doc.ts';
import type { ModelRegistry } from '../../model/registry.ts';
import type { Metrics } from '../../observe/metrics/metrics.ts';
import { Load, Sleeping, TokenizerInfo, Version } from './vllm-shapes.ts';

/** What the routes need. */
export interface VllmDeps {
  readonly models: ModelRegistry;
  readonly metrics: Metrics;
  /** Of this program. */
  readonly version: string;
}

export const vllm: FastifyPluginAsyncTypebox<VllmDeps> = async (
  app,
  { models, metrics, version },
) => {
  app.get(
    '/version',
    { config: { access: 'open', doc: versionDoc } },
    async (): Promise<Version> => ({ version }),
  );

  app.get('/load', { config: { access: 'key', doc: loadDoc } }, async (): Promise<Load> => {
    const { runningCount, waitingCount } = metrics.load;
    return { server_load: runningCount + waitingCount };
  });

  app.get(
    '/is_sleeping',
    { config: { access: 'key', doc: sleepingDoc } },
    async (): Promise<Sleeping> => ({ is_sleeping: false }),
  );

  app.get(
    '/tokenizer_info',
    { config: { doc: tokenizerDoc } },
    async (): Promise<TokenizerInfo> => {
      const { card, engine } = models.require();
      return {
        tokenizer_class: 'llama.cpp',
        model_max_length: engine.info.contextLength,
        vocab_size: engine.info.vocabularySize,
        bos_token: card.bosToken ?? null,
        eos_token: card.eosToken ?? null,
        chat_template: card.chatTemplate ?? null,
      };
    },
  );
};

const versionDoc: RouteDoc = {
  operationId: 'getVersion',
  tag: 'Server',
  summary: 'Get the version of this program, in the form of vLLM',
  reply: { name: 'Version', schema: Version },
};

const loadDoc: RouteDoc = {
  operationId: 'getServerLoad',
  tag: 'Server',
  summary: 'Get the number of running and waiting requests, in the form of vLLM',
  reply: { name: 'Load', schema: Load },
};

const sleepingDoc: RouteDoc = {
  operationId: 'isSleeping',
  tag: 'Server',
  summary: 'Ask whether the model is unloaded, in the form of vLLM: it never is',
  reply: { name: 'Sleeping', schema: Sleeping },
};

const tokenizerDoc: RouteDoc = {
  operationId: 'getTokenizerInfo',
  tag: 'Tokens',
  summary: 'Get the properties of the tokenizer, in the form of vLLM',
  reply: { name: 'TokenizerInfo', schema: TokenizerInfo },
  errors: modelErrors,
};
