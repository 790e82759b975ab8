/**
 * Bodies nobody should send, mixed with good ones, at a server with the real engine: only 4xx in OpenAI's
 * shape for the former, 200 for the latter, and a server that is as good as new afterwards. `LONG=1` sends
 * 10,000, else 400. `TEST_SEED` repeats a run.
 */
import { expect, test } from 'vitest';
import { SeededRandom, testSeed } from '../../tools/fixtures/seeded-random.ts';
import { isLong } from '../support/long.ts';
import { startServer, type TestServer, tinyModelFile } from '../support/start-server.ts';

const bodyCount = isLong ? 10_000 : 400;
const senderCount = 8;
const slotCount = 4;

interface Probe {
  readonly path: string;
  readonly body: string | Buffer;
  readonly valid: boolean;
}

type Json = Record<string, unknown>;

const chatPath = '/v1/chat/completions';
const completionPath = '/v1/completions';
const user = (content: unknown) => ({ role: 'user', content });

function validChat(random: SeededRandom): Json {
  return {
    messages: [user(`number ${random.integer(0, 999)}`)],
    max_tokens: random.integer(1, 4),
    temperature: random.next(),
    ...(random.next() < 0.2 && { n: 2 }),
    ...(random.next() < 0.2 && { stream: true, stream_options: { include_usage: true } }),
    ...(random.next() < 0.1 && { stop: ['x', 'y'] }),
    ...(random.next() < 0.1 && { response_format: { type: 'json_object' } }),
    ...(random.next() < 0.1 && { logit_bias: { 5: -100 } }),
  };
}

/** Values that are wrong for the field whatever else the body holds. */
const wrongFields: readonly (readonly [string, readonly unknown[]])[] = [
  ['messages', [[], 'x', null, 5, [5], [{}], [{ role: 'king', content: 'x' }], [user(5)]]],
  [
    'messages',
    [[user([{ type: 'image_url', image_url: { url: 'data:,' } }])], [user([{ type: 'x' }])]],
  ],
  ['temperature', [-1, '1', 1e308, [], true]],
  ['top_p', [-0.1, 1.1, '1', {}]],
  ['top_k', [-2, 1.5, 2 ** 40]],
  ['min_p', [-1, 2]],
  ['presence_penalty', [-3, 3, 'x']],
  ['frequency_penalty', [-2.01, 1e9]],
  ['n', [0, -1, 1.5, 129, 5, 'x']],
  ['max_tokens', [-5, 1.5, '5', []]],
  ['max_completion_tokens', [-5, {}]],
  ['stop', [5, [5], {}]],
  ['stream', ['yes', 1]],
  ['stream_options', [5, []]],
  ['seed', [1.5, 'x', 1e40]],
  ['logit_bias', ['x', { 5: 101 }, { 5: 'x' }, { '-1': 1 }, { 99999999: 1 }]],
  ['samplers', ['x', [5], ['nonsense']]],
  ['response_format', [5, {}, { type: 'xml' }, { type: 'json_schema' }]],
  [
    'tools',
    [5, [5], [{}], [{ type: 'function' }], [{ type: 'function', function: { name: 'a b' } }]],
  ],
  ['tool_choice', [5, 'maybe', { type: 'function', function: { name: 'nobody' } }]],
  ['grammar', [5, 'root ::= (', '%llguidance {}', 'root ::= root "a"', 'root ::= nobody']],
  ['grammar', ['root ::= "a"{99999999}', 'root ::= [', 'a ::= "x"', 'root ::= "\\u"']],
  ['json_schema', [5, 'x', []]],
  [
    'response_format',
    [
      { $ref: '#/nowhere' },
      { $ref: 'http://127.0.0.1/x' },
      { $ref: '#' },
      { type: 'string', pattern: '(' },
      { type: 'nothing' },
      { allOf: 5 },
    ].map((schema) => ({ type: 'json_schema', json_schema: { name: 'x', strict: true, schema } })),
  ],
  ['audio', [{ voice: 'x' }]],
  ['modalities', [['audio']]],
  ['mirostat', [3, 'x']],
];

/** Ways to spoil a body, each of which always does. */
const spoilers: readonly ((random: SeededRandom) => Omit<Probe, 'valid'>)[] = [
  (random) => {
    const text = JSON.stringify(validChat(random));
    return { path: chatPath, body: text.slice(0, random.integer(0, text.length - 1)) };
  },
  (random) => {
    const bytes = Buffer.from(JSON.stringify(validChat(random)));
    const at = bytes.indexOf('number');
    bytes[at + random.integer(0, 5)] = 0xff;
    return { path: chatPath, body: bytes };
  },
  () => ({ path: chatPath, body: `{"messages":[{"role":"user","content":"a\\ud800b"}]}` }),
  (random) => {
    const depth = 10 ** random.integer(2, 5);
    const body = `{"messages":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    return { path: chatPath, body };
  },
  () => ({
    path: chatPath,
    body: '{"messages":[{"role":"user","content":"x"}],"temperature":NaN}',
  }),
  () => ({ path: chatPath, body: '{"messages":[{"role":"user","content":"x"}],"top_p":1e999}' }),
  () => ({ path: chatPath, body: '{"__proto__":{"messages":[]}}' }),
  (random) => {
    const bytes = Buffer.from(Array.from({ length: 200 }, () => random.integer(0, 255)));
    return { path: chatPath, body: bytes };
  },
  ...Array.from({ length: 8 }, () => (random: SeededRandom) => {
    const [field, values] = pick(random, wrongFields);
    const body = { ...validChat(random), [field]: pick(random, values) };
    return { path: chatPath, body: JSON.stringify(body) };
  }),
  (random) => {
    const prompt = pick<unknown>(random, [[999_999_999], [-1], [1.5], [[]], [], {}, null, [[1.5]]]);
    return { path: completionPath, body: JSON.stringify({ prompt, max_tokens: 2 }) };
  },
];

/** Too large for the body limit, or for the context. */
function huge(random: SeededRandom): Omit<Probe, 'valid'> {
  const content = 'word '.repeat(random.next() < 0.5 ? 2_200_000 : 100_000);
  return { path: chatPath, body: JSON.stringify({ messages: [user(content)] }) };
}

function pick<T>(random: SeededRandom, values: readonly T[]): T {
  return values[random.integer(0, values.length - 1)] as T;
}

function probeOf(random: SeededRandom, index: number): Probe {
  if (index % 10 === 0) {
    return { path: chatPath, body: JSON.stringify(validChat(random)), valid: true };
  }
  const spoil = index % 397 === 0 ? huge : pick(random, spoilers);
  return { ...spoil(random), valid: false };
}

async function check(server: TestServer, probe: Probe): Promise<string | undefined> {
  const reply = await fetch(server.url + probe.path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: probe.body,
  });
  const text = await reply.text();
  const shown = () =>
    `${reply.status} ${text.slice(0, 100)} for ${probe.body.toString().slice(0, 300)}`;
  if (probe.valid) return reply.status === 200 ? undefined : shown();
  if (reply.status < 400 || reply.status > 499) return shown();
  try {
    const { error } = JSON.parse(text) as { readonly error: Json };
    const keys = Object.keys(error).sort().join();
    return keys === 'code,message,param,type' ? undefined : shown();
  } catch {
    return shown();
  }
}

test(`survives ${bodyCount} bodies, nine of ten malformed`, { timeout: 3_600_000 }, async () => {
  const seed = testSeed();
  console.log(`TEST_SEED=${seed}`);
  const server = await startServer({
    modelPath: tinyModelFile({ layerCount: 1 }),
    flags: ['--parallel', String(slotCount), '--ctx', '512'],
  });
  const failures: string[] = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: senderCount }, async () => {
      while (next < bodyCount && failures.length < 20) {
        const index = next++;
        const probe = probeOf(new SeededRandom(seed * 100_000 + index), index);
        const failure = await check(server, probe);
        if (failure !== undefined) failures.push(failure);
      }
    }),
  );
  expect(failures).toEqual([]);

  // Every slot takes a whole context at once: none was lost.
  await server.untilQueue({ active: 0, waiting: 0 });
  const replies = await Promise.all(
    Array.from({ length: slotCount }, (_, index) =>
      server.chat({ messages: [user(`slot ${index}`)], max_tokens: 400, ignore_eos: true }),
    ),
  );
  for (const reply of replies) {
    const { usage } = (await reply.json()) as { readonly usage: { completion_tokens: number } };
    expect(usage.completion_tokens).toBe(400);
  }
});
