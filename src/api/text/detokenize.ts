import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { bodyErrors, modelErrors, type RouteDoc } from '../../core/route-doc.ts';
import type { ModelRegistry } from '../../model/registry.ts';
import { checkTokenIds } from '../fields/token-ids.ts';
import { Content, DetokenizeRequest } from './detokenize-shapes.ts';

/** `POST /detokenize` of llama-server and vLLM. */
export const detokenize: FastifyPluginAsyncTypebox<{ readonly models: ModelRegistry }> = async (
  app,
  { models },
) => {
  app.post(
    '/detokenize',
    { schema: { body: DetokenizeRequest }, config: { doc } },
    async (request): Promise<Content> => {
      const { tokens } = request.body;
      const { info, tokenizer } = models.require().engine;
      checkTokenIds(tokens, info.vocabularySize, 'tokens');
      const text = (await tokenizer.detokenize(tokens)).toString();
      return { content: text, prompt: text };
    },
  );
};

const doc: RouteDoc = {
  operationId: 'detokenize',
  tag: 'Tokens',
  summary: 'Convert tokens to a text',
  body: { name: 'DetokenizeRequest', schema: DetokenizeRequest, example: { tokens: [318, 274] } },
  reply: {
    name: 'Content',
    schema: Content,
    example: { content: 'Hello there', prompt: 'Hello there' },
  },
  errors: [...bodyErrors, ...modelErrors, 'bad_request'],
};
