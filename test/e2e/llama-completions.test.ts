/** llama-server's `/completion` and `/infill` of the whole server, on the bundled model. */
import { beforeAll, describe, expect, test } from 'vitest';
import { parseSse } from '../support/read-sse.ts';
import { startSharedServer, type TestServer } from '../support/start-server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startSharedServer({});
});

async function post(path: string, body: object) {
  const reply = await fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await reply.text();
  expect(reply.status, text).toBe(200);
  return text;
}

const greedy = { temperature: 0, cache_prompt: true };
const chat = '<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n';

describe('/completion', () => {
  test('ends at the end token, at a word, or at the limit', async () => {
    const ended = JSON.parse(await post('/completion', { prompt: chat, ...greedy }));
    expect(ended).toMatchObject({ stop: true, stop_type: 'eos', stopping_word: '', prompt: chat });
    expect(ended.content).not.toBe('');
    expect(ended.tokens_cached).toBe(ended.tokens_evaluated + ended.tokens_predicted - 1);
    expect(ended.timings.predicted_n).toBe(ended.tokens_predicted);
    expect(ended.timings.prompt_n + ended.timings.cache_n).toBe(ended.tokens_evaluated);
    expect(ended.generation_settings).toMatchObject({ temperature: 0, n_predict: -1, top_k: 40 });

    const word = ended.content.slice(-2);
    const stopped = JSON.parse(
      await post('/completion', { prompt: chat, ...greedy, stop: [word] }),
    );
    expect(stopped).toMatchObject({ stop_type: 'word', stopping_word: word });
    expect(stopped.content).not.toContain(word);

    const cut = JSON.parse(await post('/completion', { prompt: chat, ...greedy, n_predict: 2 }));
    expect(cut).toMatchObject({ stop_type: 'limit', tokens_predicted: 2, truncated: false });
  });

  test('streams the same text, with the ids of all its tokens', async () => {
    const body = { prompt: chat, ...greedy, n_predict: 12, return_tokens: true };
    const whole = JSON.parse(await post('/completion', body));
    const frames = parseSse(await post('/completion', { ...body, stream: true })).map((frame) =>
      frame === 'done' ? expect.fail('[DONE]') : (frame.json as typeof whole),
    );
    const last = frames.pop();
    expect(frames.map(({ content }) => content).join('')).toBe(whole.content);
    expect(frames.flatMap(({ tokens }) => tokens)).toEqual(whole.tokens);
    expect(whole.tokens).toHaveLength(whole.tokens_predicted);
    expect(last).toMatchObject({ stop: true, content: '', stop_type: whole.stop_type });
    const text = JSON.parse(await post('/detokenize', { tokens: whole.tokens })).content;
    expect(text.startsWith(whole.content)).toBe(true);
  });

  test('has probabilities of each token, the sampled one among the likeliest', async () => {
    const body = { prompt: 'Good', ...greedy, n_predict: 4, n_probs: 3 };
    const { completion_probabilities: tokens, content } = JSON.parse(
      await post('/completion', body),
    );
    expect(tokens.map(({ token }: { token: string }) => token).join('')).toBe(content);
    for (const { id, logprob, top_logprobs: top } of tokens) {
      expect(top).toHaveLength(3);
      expect(top[0]).toMatchObject({ id, logprob });
    }
  });

  test('takes ids and texts alike, and evaluates a prompt alone', async () => {
    const { tokens } = JSON.parse(await post('/tokenize', { content: chat }));
    const body = { ...greedy, n_predict: 6 };
    const [fromText, fromTokens] = JSON.parse(
      await post('/completion', { ...body, prompt: [chat, tokens] }),
    );
    expect(fromTokens.content).toBe(fromText.content);
    const alone = JSON.parse(await post('/completion', { prompt: chat, n_predict: 0 }));
    expect(alone).toMatchObject({ content: '', tokens_predicted: 0, stop_type: 'limit' });
  });

  test('follows a grammar', async () => {
    const body = { prompt: 'x', grammar: 'root ::= "yes" | "no"' };
    expect(JSON.parse(await post('/completion', body)).content).toMatch(/^(yes|no)$/);
  });
});

describe('/infill', () => {
  test('fills a gap', async () => {
    const filled = JSON.parse(
      await post('/infill', {
        ...{ input_prefix: 'Good ', input_suffix: '!', prompt: 'mor' },
        input_extra: [{ filename: 'a.txt', text: 'Hello' }],
        ...{ ...greedy, n_predict: 8, samplers: ['top_k', 'top_p', 'infill'], n_indent: 0 },
      }),
    );
    expect(filled.prompt).toMatch(/<\|fim_prefix\|>Good mor<\|fim_suffix\|>!<\|fim_middle\|>$/);
    expect(filled.truncated).toBe(false);
    expect(filled.generation_settings.samplers).toEqual(['top_k', 'top_p', 'infill']);
  });

  test('says when a text had no room', async () => {
    const body = { input_prefix: 'word '.repeat(20_000), input_suffix: '!', n_predict: 4 };
    const filled = JSON.parse(await post('/infill', body));
    expect(filled.truncated).toBe(true);
    expect(filled.tokens_evaluated).toBeGreaterThan(1000);
  });
});
