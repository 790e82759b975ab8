/** Fields of vLLM, SGLang and llama-server that change what a reply shows, or have beside its text. */
import { type Static, Type } from 'typebox';
import { GatewayError } from '../../core/errors.ts';
import type { EngineRequest } from '../../engine/generator.ts';
import type { LogprobOptions } from '../../engine/logprobs.ts';
import { optional } from './optional.ts';

/** Likeliest tokens at each position that a reply may have; OpenAI's limit. */
export const maxTopCount = 20;

export const replyExtraFields = {
  include_stop_str_in_output: optional(
    Type.Boolean({
      description:
        'The completion includes the stop string or the text of the end token that ended it.',
    }),
  ),
  no_stop_trim: optional(
    Type.Boolean({ description: "SGLang's name of `include_stop_str_in_output`." }),
  ),
  skip_special_tokens: optional(
    Type.Boolean({ description: 'False: the text of control tokens is part of the completion.' }),
  ),
  t_max_predict_ms: optional(
    Type.Integer({
      minimum: -1,
      maximum: 2 ** 31 - 1,
      description:
        'Milliseconds from the first token, after which the next line break ends the completion; 0 and −1 are no limit.',
    }),
  ),
  return_progress: optional(
    Type.Boolean({
      description: 'A stream has chunks with `prompt_progress` while the prompt is computed.',
    }),
  ),
  return_token_ids: optional(
    Type.Boolean({ description: 'The reply has the ids of the tokens of prompt and completion.' }),
  ),
  return_tokens_as_token_ids: optional(
    Type.Boolean({ description: 'Log probabilities name their tokens `token_id:17`.' }),
  ),
  prompt_logprobs: optional(
    Type.Integer({
      minimum: 0,
      maximum: maxTopCount,
      description:
        'Log probabilities of the prompt, with so many of the likeliest tokens at each position. Not in a stream.',
    }),
  ),
  n_probs: optional(
    Type.Integer({
      minimum: 0,
      maximum: maxTopCount,
      description: "llama-server's name of the number of likeliest tokens; 0 is none.",
    }),
  ),
};

const ReplyExtraBody = Type.Object(replyExtraFields);
type ReplyExtraBody = Static<typeof ReplyExtraBody>;

/** How the tokens of log probabilities are written. */
export interface TokenForm {
  /** Write `token_id:17` instead of the text of a token. */
  readonly asIds: boolean;
  /** Number of likeliest tokens at each position. */
  readonly topCount: number;
}

/** What a reply has beside its text, where the request asks for it. */
export interface ReplyExtras {
  readonly tokenForm: TokenForm;
  /** Return the ids of the tokens of prompt and completion. */
  readonly returnTokenIds: boolean;
  /** Return what ended each choice. */
  readonly returnStopReason: boolean;
  /** Every chunk has the usage so far. */
  readonly continuousUsage: boolean;
  /** Likeliest tokens at each position of the prompt; undefined without its log probabilities. */
  readonly promptLogprobCount: number | undefined;
}

/** What the fields ask of the engine. */
export function readOutput(
  body: ReplyExtraBody,
  { returnTokenIds, continuousUsage }: ReplyExtras,
): Pick<
  EngineRequest,
  'maxDecodeMs' | 'showStops' | 'showControl' | 'reportTokens' | 'reportProgress'
> {
  const maxDecodeMs = Math.max(body.t_max_predict_ms ?? 0, 0);
  return {
    ...(maxDecodeMs > 0 && { maxDecodeMs }),
    ...(showsStops(body) && { showStops: true }),
    ...(body.skip_special_tokens === false && { showControl: true }),
    ...((returnTokenIds || continuousUsage) && { reportTokens: true }),
    ...(body.return_progress && { reportProgress: true }),
  };
}

export function showsStops(body: ReplyExtraBody): boolean {
  return body.include_stop_str_in_output ?? body.no_stop_trim ?? false;
}

/**
 * The log probabilities to compute.
 * @param topCount - likeliest tokens at each position of the reply; undefined without its log probabilities
 */
export function logprobOptions(
  topCount: number | undefined,
  promptTopCount: number | undefined,
): { readonly logprobs?: LogprobOptions } {
  if (topCount === undefined && promptTopCount === undefined) return {};
  return {
    logprobs: {
      topCount: Math.max(topCount ?? 0, promptTopCount ?? 0),
      prompt: promptTopCount !== undefined,
    },
  };
}

/** @throws {GatewayError} `invalid_value` for log probabilities of a prompt in a stream */
export function checkPromptLogprobs(body: ReplyExtraBody, stream: boolean): void {
  if (body.prompt_logprobs == null || !stream) return;
  throw new GatewayError('invalid_value', {
    param: 'prompt_logprobs',
    message: '`prompt_logprobs` may not be sent together with `stream: true`.',
  });
}
