import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { completionErrors, type RouteDoc } from '../../core/route-doc.ts';
import type { Tokenizer } from '../../engine/tokenizer.ts';
import { promptText } from '../generation/prompt.ts';
import { type GenerationDeps, type ReplyForm, replyWithCompletion } from '../generation/reply.ts';
import { ReplyFrames } from '../generation/reply-frames.ts';
import { newReplyHead, type ReplyHead } from '../generation/reply-head.ts';
import { exampleTimings } from '../generation/timings.ts';
import { exampleUsage } from '../generation/usage.ts';
import { TextReply, textChunks } from './completion-reply.ts';
import { type ParsedCompletion, readCompletion } from './completion-request.ts';
import { Completion, CompletionChunk, CompletionRequest } from './completion-shapes.ts';

/** `POST /v1/completions`. */
export const completions: FastifyPluginAsyncTypebox<GenerationDeps> = async (app, deps) => {
  const route = { schema: { body: CompletionRequest }, attachValidation: true, config: { doc } };
  app.post('/v1/completions', route, async (request, reply) => {
    const { parsed, model } = readCompletion(request, deps);
    const { engine } = model;
    const head = newReplyHead('cmpl', model, deps.version, parsed.serviceTier);
    const form = formOf(parsed, head, await openingsOf(parsed, engine.tokenizer));
    return replyWithCompletion(request, reply, { ...deps, engine }, parsed, form);
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

/** The beginning of each choice's text: nothing, or its prompt. */
async function openingsOf(
  { prompts, choiceCount, echo }: ParsedCompletion,
  tokenizer: Tokenizer,
): Promise<string[]> {
  const texts = await Promise.all(
    prompts.map((prompt) => (echo ? promptText(tokenizer, prompt) : '')),
  );
  return texts.flatMap((text) => Array.from({ length: choiceCount }, () => text));
}

function formOf(parsed: ParsedCompletion, head: ReplyHead, openings: readonly string[]): ReplyForm {
  const { stream, includeUsage } = parsed;
  if (!stream) return { stream, collector: new TextReply(head, { ...parsed, openings }) };
  const withPromptLogprobs = parsed.echo && parsed.withLogprobs;
  const parts = openings.map((text) => (text === '' && !withPromptLogprobs ? undefined : { text }));
  return {
    stream,
    framer: new ReplyFrames(head, textChunks(openings, parsed.extras.tokenForm), {
      openings: parts,
      includeUsage,
      extras: parsed.extras,
      withPromptLogprobs,
    }),
  };
}
