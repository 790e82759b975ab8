/** Fields about single tokens and about the end of a completion, on both endpoints that generate text. */
import { describe, expect, test } from 'vitest';
import type { EngineRequest } from '../../src/engine/generator.ts';
import { postChat, postText, reuseGateway } from '../support/start-gateway.ts';

const endpoints = [
  ['chats', postChat],
  ['text completions', postText],
] as const;

const vocabularySize = 100;
const start = () => reuseGateway({ vocabularySize });

/** What the fake engine makes of a word: its first byte; with a space before it, a hundred more. */
const code = (character: string) => character.charCodeAt(0);

describe.each(endpoints)('of %s', (_, post) => {
  async function requestOf(fields: Record<string, unknown>): Promise<EngineRequest> {
    const { app, engine } = start();
    const reply = await post(app, fields);
    expect(reply.statusCode, reply.body).toBe(200);
    return engine.requests[0] as EngineRequest;
  }

  test.each<[Record<string, unknown>, Partial<EngineRequest>]>([
    [{ stop_token_ids: [5, 7] }, { tokenRules: { stopTokens: [5, 7] } }],
    [{ allowed_token_ids: [0, 99] }, { tokenRules: { allowedTokens: [0, 99] } }],
    [{ min_tokens: 4 }, { tokenRules: { minTokens: 4 } }],
    [{ min_new_tokens: 4 }, { tokenRules: { minTokens: 4 } }],
    [{ min_tokens: 4, min_new_tokens: 9, max_tokens: 4 }, { tokenRules: { minTokens: 4 } }],
    [{ bad_words: ['x'] }, { tokenRules: { badWords: [[code('x')], [code('x') + 100]] } }],
    [
      { bad_words: [' xy z', 'xy z', ' '], stop_token_ids: [1] },
      {
        tokenRules: {
          stopTokens: [1],
          badWords: [
            [code('x'), code('z')],
            [code('x') + 100, code('z')],
          ],
        },
      },
    ],
    [{ include_stop_str_in_output: true }, { showStops: true }],
    [{ no_stop_trim: true }, { showStops: true }],
    [{ skip_special_tokens: false }, { showControl: true }],
    [{ t_max_predict_ms: 250 }, { maxDecodeMs: 250 }],
    [{ return_progress: true }, { reportProgress: true }],
    [{ return_token_ids: true }, { reportTokens: true }],
    [{ stream: true, stream_options: { continuous_usage_stats: true } }, { reportTokens: true }],
    [{ n_probs: 3 }, { logprobs: { topCount: 3, prompt: false } }],
    [{ prompt_logprobs: 2 }, { logprobs: { topCount: 2, prompt: true } }],
    [{ prompt_logprobs: 0, n_probs: 3 }, { logprobs: { topCount: 3, prompt: true } }],
    [{ cache_salt: 'a' }, { cacheScope: '\na' }],
    [
      { logit_bias: { 5: 1, ' xy z': -2 } },
      {
        sampling: {
          logitBias: [
            [5, 1],
            [code('x') + 100, -2],
            [code('z'), -2],
          ],
        },
      },
    ],
    [
      { logit_bias: [['xy', false]] },
      { sampling: { logitBias: [[code('x'), Number.NEGATIVE_INFINITY]] } },
    ],
  ])('%j', async (fields, expected) => {
    expect(await requestOf(fields)).toMatchObject(expected);
  });

  test.each([
    { stop_token_ids: [], allowed_token_ids: [], bad_words: [], min_tokens: 0 },
    { stop_token_ids: null, allowed_token_ids: null, bad_words: null, min_tokens: null },
    { bad_words: ['', ' '] },
    { include_stop_str_in_output: false, skip_special_tokens: true, t_max_predict_ms: 0 },
    { t_max_predict_ms: -1, n_probs: 0, return_progress: false, return_token_ids: false },
    { cache_salt: '', priority: 0, prompt_logprobs: null, min_keep: null },
    { spaces_between_special_tokens: false, guided_decoding_backend: 'outlines' },
    { add_generation_prompt: null, continue_final_message: null, logit_bias: [] },
    { length_penalty: 1, early_stopping: false, return_tokens_as_token_ids: false },
  ])('%j asks for nothing', async (fields) => {
    const { prompt: _, ...asked } = await requestOf(fields);
    const { prompt: __, ...plain } = await requestOf({});
    expect(asked).toEqual(plain);
    expect(start().logLines).toEqual([]);
  });

  test.each<[Record<string, unknown>, string]>([
    [{ stop_token_ids: [5, 100] }, 'stop_token_ids[1]'],
    [{ stop_token_ids: [-1] }, 'stop_token_ids[0]'],
    [{ stop_token_ids: ['5'] }, 'stop_token_ids[0]'],
    [{ stop_token_ids: Array(1025).fill(1) }, 'stop_token_ids'],
    [{ allowed_token_ids: [100] }, 'allowed_token_ids[0]'],
    [{ allowed_token_ids: 5 }, 'allowed_token_ids'],
    [{ min_tokens: -1 }, 'min_tokens'],
    [{ min_tokens: 5, max_tokens: 4 }, 'min_tokens'],
    [{ min_new_tokens: 5, max_tokens: 4 }, 'min_new_tokens'],
    [{ bad_words: ['x'.repeat(257)] }, 'bad_words[0]'],
    [{ bad_words: Array(129).fill('x') }, 'bad_words'],
    [{ bad_words: 'x' }, 'bad_words'],
    [{ include_stop_str_in_output: 'yes' }, 'include_stop_str_in_output'],
    [{ t_max_predict_ms: -2 }, 't_max_predict_ms'],
    [{ n_probs: 21 }, 'n_probs'],
    [{ prompt_logprobs: 21 }, 'prompt_logprobs'],
    [{ prompt_logprobs: 1, stream: true }, 'prompt_logprobs'],
    [{ cache_salt: 5 }, 'cache_salt'],
    [{ priority: 'high' }, 'priority'],
    [{ logit_bias: { 100: 1 } }, 'logit_bias'],
  ])('%j is refused', async (fields, param) => {
    const { app, engine } = start();
    const reply = await post(app, fields);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param, code: 'invalid_value' });
    expect(engine.requests).toEqual([]);
  });

  test('one reply names everything that is wrong', async () => {
    const { app } = start();
    const fields = { stop_token_ids: [100], min_tokens: 5, max_tokens: 1, stop_regex: 'x' };
    const { message } = (await post(app, fields)).json().error;
    for (const name of ['stop_token_ids[0]', 'min_tokens', 'stop_regex']) {
      expect(message).toContain(`\`${name}\``);
    }
  });

  test('texts of a bias are limited by their tokens', async () => {
    const { app, engine } = start();
    const bias = Array.from({ length: 9 }, () => ['x '.repeat(120), 1]);
    const reply = await post(app, { logit_bias: bias });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param: 'logit_bias', code: 'invalid_value' });
    expect(engine.requests).toEqual([]);
  });

  test('a positive priority waits like the tier flex, and a tier overrides it', async () => {
    for (const fields of [
      { priority: 5 },
      { priority: -5 },
      { priority: 5, service_tier: 'default' },
    ]) {
      const { app } = start();
      const reply = await post(app, fields);
      expect(reply.statusCode).toBe(200);
      expect(reply.json().service_tier).toBe('service_tier' in fields ? 'default' : undefined);
    }
  });
});
