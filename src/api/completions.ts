import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { Engine } from '../engine/engine.ts';
import { preparePlain, promptText } from './plain-prompt.ts';
import { type GenerationDeps, generateReply, type ReplyForm } from './reply.ts';
import { TextReply, textChunks } from './schemas/completion-reply.ts';
import { readCompletionRequest, type TextRequest } from './schemas/completion-request.ts';
import { CompletionRequest } from './schemas/completions.ts';
import { ReplyFrames } from './schemas/reply-frames.ts';
import { newReplyHead, type ReplyHead } from './schemas/reply-head.ts';
import { unsupported } from './schemas/request-errors.ts';
import { checkTokenIds } from './schemas/token-ids.ts';
import { chooseGenerator, logUnknownFields, requireServable } from './served-model.ts';

/** `POST /v1/completions`. */
export const completions: FastifyPluginAsyncTypebox<GenerationDeps> = async (app, deps) => {
  app.post('/v1/completions', { schema: { body: CompletionRequest } }, async (request, reply) => {
    logUnknownFields(request.body, CompletionRequest.properties, request.log);
    const reading = readCompletionRequest(request.body);
    const model = chooseGenerator(deps, reading.model);
    const { engine } = model;
    requireVocabulary(reading, engine);
    const { prompts, suffix, options, choiceCount } = reading;
    requireServable(reading, model);
    const prepare = () =>
      Promise.all(prompts.map((prompt) => preparePlain(engine, prompt, suffix)));
    return generateReply(
      request,
      reply,
      { engine, prepare, options, choiceCount, drain: deps.drain },
      replyForm(
        newReplyHead('cmpl', model, deps.version),
        reading,
        await openingsOf(reading, engine),
      ),
    );
  });
};

/** What was sent has to exist in this model's vocabulary. */
function requireVocabulary({ prompts, suffix }: TextRequest, { info }: Engine): void {
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
  engine: Engine,
): Promise<string[]> {
  const texts = await Promise.all(
    prompts.map((prompt) => (echo ? promptText(engine, prompt) : '')),
  );
  return texts.flatMap((text) => Array.from({ length: choiceCount }, () => text));
}

function replyForm(
  head: ReplyHead,
  { stream, includeUsage }: TextRequest,
  openings: readonly string[],
): ReplyForm {
  if (!stream) return { stream, collector: new TextReply(head, openings) };
  const parts = openings.map((text) => (text === '' ? undefined : { text }));
  return { stream, framer: new ReplyFrames(head, textChunks, { openings: parts, includeUsage }) };
}
