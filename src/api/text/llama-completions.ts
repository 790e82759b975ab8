import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { completionErrors, type NamedSchema, type RouteDoc } from '../../core/route-doc.ts';
import type { GeneratingEngine } from '../../engine/engine.ts';
import type { PreparedPrompt } from '../../engine/generator.ts';
import type { TextModel } from '../fields/served-model.ts';
import { type GenerationDeps, type ReplyForm, replyWithCompletion } from '../generation/reply.ts';
import { LlamaFrames, LlamaReply, type ShownPrompt } from './llama-completion-reply.ts';
import {
  type ParsedLlamaCompletion,
  readInfill,
  readLlamaCompletion,
} from './llama-completion-request.ts';
import {
  InfillRequest,
  LlamaCompletion,
  LlamaCompletionRequest,
  LlamaFrame,
} from './llama-completion-shapes.ts';

/** llama-server's `POST /completion` and `POST /infill`. */
export const llamaCompletions: FastifyPluginAsyncTypebox<GenerationDeps> = async (app, deps) => {
  const options = { attachValidation: true };
  app.post(
    '/completion',
    { ...options, schema: { body: LlamaCompletionRequest }, config: { doc: completionDoc } },
    (request, reply) => complete(request, reply, deps, readLlamaCompletion(request, deps)),
  );
  app.post(
    '/infill',
    { ...options, schema: { body: InfillRequest }, config: { doc: infillDoc } },
    (request, reply) => complete(request, reply, deps, readInfill(request, deps)),
  );
};

async function complete(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: GenerationDeps,
  { parsed, model }: { readonly parsed: ParsedLlamaCompletion; readonly model: TextModel },
): Promise<object> {
  const { engine } = model;
  const form = formOf(parsed, model);
  const choices = form.stream ? form.framer : form.collector;
  const onPrepared = async (prompts: readonly PreparedPrompt[]) => {
    choices.prompts = await Promise.all(prompts.map((prompt) => shown(prompt, engine)));
  };
  return replyWithCompletion(request, reply, { ...deps, engine }, { ...parsed, onPrepared }, form);
}

type LlamaForm =
  | (ReplyForm & { readonly stream: false; readonly collector: LlamaReply })
  | (ReplyForm & { readonly stream: true; readonly framer: LlamaFrames });

function formOf(parsed: ParsedLlamaCompletion, model: TextModel): LlamaForm {
  const { stream, choiceCount, returnTokens, responseFields } = parsed;
  const options = {
    model: model.card.id,
    choiceCount,
    promptCount: parsed.prompts.length,
    contextLength: model.engine.info.contextLength,
    settings: settingsOf(parsed, model),
    withProbabilities: parsed.probabilityCount > 0,
    returnTokens,
    responseFields,
  };
  return stream
    ? { stream, framer: new LlamaFrames(options) }
    : { stream, collector: new LlamaReply(options) };
}

/** `generation_settings`: what the request has set, and the defaults of everything else. */
function settingsOf(
  { options, prompts, stream, probabilityCount }: ParsedLlamaCompletion,
  { engine }: TextModel,
): Readonly<Record<string, unknown>> {
  const limit = options.maxTokens ?? -1;
  return {
    ...engine.generator.describeSampling(options.sampling),
    grammar: prompts[0]?.format?.grammar ?? '',
    stop: options.stop ?? [],
    max_tokens: limit,
    n_predict: limit,
    n_keep: 0,
    n_discard: 0,
    n_probs: probabilityCount,
    stream,
    timings_per_token: false,
    post_sampling_probs: false,
    'speculative.types': engine.info.speculative ?? 'none',
    lora: [],
  };
}

/** A prompt as the text of its tokens. */
async function shown(
  prepared: PreparedPrompt,
  { generator, tokenizer }: GeneratingEngine,
): Promise<ShownPrompt> {
  const bytes = await tokenizer.detokenize(generator.promptTokens(prepared));
  return { prepared, text: bytes.toString() };
}

const replyDoc = {
  reply: { name: 'LlamaCompletion', schema: LlamaCompletion },
  chunk: { name: 'LlamaFrame', schema: LlamaFrame },
} satisfies { readonly reply: NamedSchema; readonly chunk: NamedSchema };

const completionDoc: RouteDoc = {
  operationId: 'createLlamaCompletion',
  tag: 'Completions',
  summary: 'Continue one or more texts, in the form of llama-server',
  body: {
    name: 'LlamaCompletionRequest',
    schema: LlamaCompletionRequest,
    example: { prompt: 'Once upon a time', n_predict: 21 },
  },
  ...replyDoc,
  errors: completionErrors,
};

const infillDoc: RouteDoc = {
  operationId: 'createInfill',
  tag: 'Completions',
  summary: 'Fill the gap of a text, in the form of llama-server',
  body: {
    name: 'InfillRequest',
    schema: InfillRequest,
    example: { input_prefix: 'def add(a, b):\n    ', input_suffix: '\n\nprint(add(1, 2))\n' },
  },
  ...replyDoc,
  errors: [...completionErrors, 'unsupported_model'],
};
