import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { completionErrors, type RouteDoc } from '../../core/route-doc.ts';
import type { EngineInfo } from '../../engine/engine.ts';
import type { Tokenizer } from '../../engine/tokenizer.ts';
import { unsupported } from '../fields/request-errors.ts';
import {
  chooseModel,
  logUnknownFields,
  requireGenerator,
  requireServable,
} from '../fields/served-model.ts';
import { checkTokenIds } from '../fields/token-ids.ts';
import { type GenerationDeps, generateReply, type ReplyForm } from '../generation/reply.ts';
import { ReplyFrames } from '../generation/reply-frames.ts';
import { newReplyHead, type ReplyHead } from '../generation/reply-head.ts';
import { exampleTimings } from '../generation/timings.ts';
import { exampleUsage } from '../generation/usage.ts';
import { TextReply, textChunks } from './completion-reply.ts';
import { readCompletionRequest, type TextRequest } from './completion-request.ts';
import { Completion, CompletionChunk, CompletionRequest } from './completion-shapes.ts';
import { preparePlain, promptText } from './plain-prompt.ts';

/** `POST /v1/completions`. */
export const completions: FastifyPluginAsyncTypebox<GenerationDeps> = async (app, deps) => {
  const route = { schema: { body: CompletionRequest }, config: { doc } };
  app.post('/v1/completions', route, async (request, reply) => {
    logUnknownFields(request.body, CompletionRequest.properties, request.log);
    const reading = readCompletionRequest(request.body);
    const model = chooseModel(deps, reading.model);
    const generator = requireGenerator(model);
    const { info, tokenizer } = model.engine;
    requireVocabulary(reading, info);
    const { prompts, suffix, options, choiceCount, keptCount, priority } = reading;
    requireServable(reading, model, choiceCount > keptCount ? 'best_of' : 'n');
    const prepare = () =>
      Promise.all(prompts.map((prompt) => preparePlain({ generator, tokenizer }, prompt, suffix)));
    return generateReply(
      request,
      reply,
      { ...deps, generator, info, prepare, options, choiceCount, priority },
      replyForm(
        newReplyHead('cmpl', model, deps.version, reading.serviceTier),
        reading,
        await openingsOf(reading, tokenizer),
      ),
    );
  });
};

const doc: RouteDoc = {
  operationId: 'createCompletion',
  tag: 'Completions',
  summary: 'Continue one or more texts',
  body: {
    name: 'CompletionRequest',
    schema: CompletionRequest,
    example: { prompt: 'Once upon a time', max_tokens: 21 },
  },
  reply: {
    name: 'Completion',
    schema: Completion,
    example: {
      id: 'cmpl-0123456789abcdef',
      object: 'text_completion',
      created: 1_700_000_000,
      model: 'tiny-chat',
      system_fingerprint: 'fp_0123456789',
      choices: [{ index: 0, text: ' there was', logprobs: null, finish_reason: 'length' }],
      usage: exampleUsage,
      timings: exampleTimings,
    },
  },
  chunk: { name: 'CompletionChunk', schema: CompletionChunk },
  errors: completionErrors,
};

/** What was sent has to exist in this model's vocabulary. */
function requireVocabulary({ prompts, suffix }: TextRequest, info: EngineInfo): void {
  if (suffix !== undefined && !info.infill) {
    throw unsupported(
      'suffix',
      'this model cannot fill gaps: its vocabulary has no marks for them',
    );
  }
  for (const { path, content } of prompts) {
    if (typeof content !== 'string') checkTokenIds(content, info.vocabularySize, path);
  }
}

/** What each choice begins with: nothing, or its prompt. */
async function openingsOf(
  { prompts, choiceCount, echo }: TextRequest,
  tokenizer: Tokenizer,
): Promise<string[]> {
  const texts = await Promise.all(
    prompts.map((prompt) => (echo ? promptText(tokenizer, prompt) : '')),
  );
  return texts.flatMap((text) => Array.from({ length: choiceCount }, () => text));
}

function replyForm(head: ReplyHead, request: TextRequest, openings: readonly string[]): ReplyForm {
  const { stream, includeUsage, echo, withLogprobs } = request;
  if (!stream) return { stream, collector: new TextReply(head, { ...request, openings }) };
  const scoresPrompts = echo && withLogprobs;
  const parts = openings.map((text) => (text === '' && !scoresPrompts ? undefined : { text }));
  return {
    stream,
    framer: new ReplyFrames(head, textChunks(openings), {
      openings: parts,
      includeUsage,
      scoresPrompts,
    }),
  };
}
