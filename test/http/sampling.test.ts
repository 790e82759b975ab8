import { describe, expect, test } from 'vitest';
import type { SamplingParams } from '../../src/engine/sampling-params.ts';
import { postChat, postText, reuseGateway } from '../support/start-gateway.ts';

interface Field {
  readonly field: string;
  readonly name: keyof SamplingParams;
  /** Valid values, the edges of the range among them. */
  readonly valid: readonly unknown[];
  /** Values of a wrong type, and values out of range. */
  readonly wrong: readonly unknown[];
}

function number(field: string, name: keyof SamplingParams, [low, high]: [number, number]): Field {
  const beyond = [low - 0.001, high + 0.001];
  return { field, name, valid: [low, high, (low + high) / 2], wrong: [...beyond, '1', true, []] };
}

const fields: readonly Field[] = [
  number('temperature', 'temperature', [0, 100]),
  number('dynatemp_range', 'dynatempRange', [0, 100]),
  number('dynatemp_exponent', 'dynatempExponent', [0, 4]),
  number('top_p', 'topP', [0, 1]),
  number('min_p', 'minP', [0, 1]),
  number('typical_p', 'typicalP', [0, 1]),
  number('top_n_sigma', 'topNSigma', [-1, 100]),
  number('xtc_probability', 'xtcProbability', [0, 1]),
  number('xtc_threshold', 'xtcThreshold', [0, 1]),
  number('frequency_penalty', 'frequencyPenalty', [-2, 2]),
  number('presence_penalty', 'presencePenalty', [-2, 2]),
  number('repeat_penalty', 'repeatPenalty', [0.01, 10]),
  number('repetition_penalty', 'repeatPenalty', [0.01, 10]),
  number('dry_multiplier', 'dryMultiplier', [0, 100]),
  number('dry_base', 'dryBase', [1, 100]),
  {
    field: 'dry_sequence_breakers',
    name: 'drySequenceBreakers',
    valid: [[], ['\n'], Array(16).fill('x'.repeat(40))],
    wrong: ['\n', [''], [1], ['x'.repeat(41)], Array(17).fill('x')],
  },
  { field: 'mirostat', name: 'mirostat', valid: [0, 1, 2], wrong: [-1, 3, 1.5, '1', true] },
  number('mirostat_tau', 'mirostatTau', [0, 100]),
  number('mirostat_eta', 'mirostatEta', [0, 1]),
  number('adaptive_target', 'adaptiveTarget', [-1, 1]),
  number('adaptive_decay', 'adaptiveDecay', [0, 0.99]),
  { field: 'ignore_eos', name: 'ignoreEos', valid: [true, false], wrong: [1, 'true', []] },
];

const endpoints = [
  ['a chat', postChat],
  ['a text completion', postText],
] as const;

describe.each(
  endpoints.flatMap(([endpoint, post]) => fields.map((field) => ({ ...field, endpoint, post }))),
)('$field of $endpoint', ({ field, name, valid, wrong, post }) => {
  test('is left to the engine when it is absent or null', async () => {
    for (const body of [{}, { [field]: null }]) {
      const { app, engine } = reuseGateway();
      expect((await post(app, body)).statusCode).toBe(200);
      expect(engine.requests[0]?.sampling).toEqual({});
    }
  });

  test.each(valid.map((value) => [value]))('%j reaches the engine', async (value) => {
    const { app, engine } = reuseGateway();
    expect((await post(app, { [field]: value })).statusCode).toBe(200);
    expect(engine.requests[0]?.sampling).toEqual({ [name]: value });
  });

  test.each(wrong.map((value) => [value]))('%j is refused', async (value) => {
    const { app, engine } = reuseGateway();
    const reply = await post(app, { [field]: value });
    expect(reply.statusCode).toBe(400);
    const { error } = reply.json();
    expect(error.code).toBe('invalid_value');
    expect(error.param.replace(/\[\d+\]$/, '')).toBe(field);
    expect(error.message).toContain('must be');
    expect(engine.requests).toEqual([]);
  });
});

describe.each(endpoints)('fields of %s that are read', (_endpoint, post) => {
  const canonical = ['penalties', 'dry', 'top_n_sigma', 'top_k', 'typ_p', 'top_p', 'min_p', 'xtc'];

  test.each([
    [{ top_k: -1 }, { topK: 0 }],
    [{ top_k: 0 }, { topK: 0 }],
    [{ top_k: 40 }, { topK: 40 }],
    [{ top_k: null, samplers: null, logit_bias: null, seed: null }, {}],
    [{ top_k: 2 ** 31 - 1 }, { topK: 2 ** 31 - 1 }],
    [{ repeat_penalty: 1.1, repetition_penalty: 1.5 }, { repeatPenalty: 1.1 }],
    [{ repeat_penalty: null, repetition_penalty: 1.5 }, { repeatPenalty: 1.5 }],
    [{ samplers: [] }, { samplers: [] }],
    [{ samplers: canonical }, { samplers: canonical }],
    [{ samplers: ['typical_p', 'temperature'] }, { samplers: ['typ_p', 'temperature'] }],
    [{ logit_bias: {} }, {}],
    [{ logit_bias: [] }, {}],
    [
      {
        logit_bias: [
          [5, 1],
          ['7', -1],
        ],
      },
      {
        logitBias: [
          [5, 1],
          [7, -1],
        ],
      },
    ],
    [{ logit_bias: { '05': false } }, { logitBias: [[5, -Infinity]] }],
    [{ min_keep: 3 }, { minKeep: 3 }],
    [
      { logit_bias: { 0: -100, 31999: 100, 5: 0.5 } },
      {
        logitBias: [
          [0, -100],
          [5, 0.5],
          [31_999, 100],
        ],
      },
    ],
    [{ seed: 0 }, { seed: 0n }],
    [{ seed: -(2 ** 63) }, { seed: -(2n ** 63n) }],
    [{ seed: 2 ** 64 }, { seed: 2n ** 64n - 1n }],
    ...(
      [
        ['repeat_last_n', 'repeatLastN'],
        ['dry_penalty_last_n', 'dryPenaltyLastN'],
        ['dry_allowed_length', 'dryAllowedLength'],
      ] as const
    ).flatMap(([field, name]) =>
      [0, 1, 65_536].map((value): [Record<string, unknown>, object] => [
        { [field]: value },
        { [name]: value },
      ]),
    ),
    [{ repeat_last_n: -1 }, { repeatLastN: 65_536 }],
    [{ repeat_last_n: 131_072 }, { repeatLastN: 65_536 }],
    [{ dry_penalty_last_n: -1 }, { dryPenaltyLastN: 65_536 }],
    [{ dry_allowed_length: 1e9 }, { dryAllowedLength: 65_536 }],
  ])('%j', async (body, expected) => {
    const { app, engine } = reuseGateway();
    expect((await post(app, body)).statusCode).toBe(200);
    expect(engine.requests[0]?.sampling).toEqual(expected);
  });

  test.each([
    [{ top_k: -2 }, 'top_k'],
    [{ repeat_last_n: -2 }, 'repeat_last_n'],
    [{ repeat_last_n: 0.5 }, 'repeat_last_n'],
    [{ repeat_last_n: '1' }, 'repeat_last_n'],
    [{ dry_penalty_last_n: -2 }, 'dry_penalty_last_n'],
    [{ dry_allowed_length: -1 }, 'dry_allowed_length'],
    [{ top_k: 1.5 }, 'top_k'],
    [{ top_k: '1' }, 'top_k'],
    [{ top_k: true }, 'top_k'],
    [{ seed: -(2 ** 64) }, 'seed'],
    [{ samplers: [5] }, 'samplers[0]'],
    [{ samplers: 5 }, 'samplers'],
    [{ logit_bias: 'x' }, 'logit_bias'],
    [{ logit_bias: { 5: -100.1 } }, 'logit_bias.5'],
    [{ top_k: 2 ** 31 }, 'top_k'],
    [{ seed: 2 ** 65 }, 'seed'],
    [{ seed: 1.5 }, 'seed'],
    [{ seed: '1' }, 'seed'],
    [{ samplers: 'top_k' }, 'samplers'],
    [{ samplers: ['top_k', 'infill'] }, 'samplers[1]'],
    [{ samplers: ['nucleus'] }, 'samplers[0]'],
    [{ samplers: Array(12).fill('top_k') }, 'samplers'],
    [{ logit_bias: { '': 1 } }, 'logit_bias.'],
    [{ logit_bias: { '-1': 1 } }, 'logit_bias.-1'],
    [{ logit_bias: { x: true } }, 'logit_bias.x'],
    [{ logit_bias: [5] }, 'logit_bias[0]'],
    [{ logit_bias: [[5, 1], [5]] }, 'logit_bias[1]'],
    [{ logit_bias: [[1.5, 1]] }, 'logit_bias[0]'],
    [{ logit_bias: [[-1, 1]] }, 'logit_bias[0]'],
    [{ logit_bias: [['x'.repeat(257), 1]] }, 'logit_bias[0]'],
    [{ logit_bias: [[32000, 1]] }, 'logit_bias'],
    [{ min_keep: -1 }, 'min_keep'],
    [{ logit_bias: { 32000: 1 } }, 'logit_bias'],
    [{ logit_bias: { 5: 100.1 } }, 'logit_bias.5'],
    [{ logit_bias: { 5: '1' } }, 'logit_bias.5'],
    [{ logit_bias: { 5: null } }, 'logit_bias.5'],
    [
      { logit_bias: Object.fromEntries(Array.from({ length: 1025 }, (_, id) => [id, 1])) },
      'logit_bias',
    ],
  ])('%j is refused', async (body, param) => {
    const { app, engine } = reuseGateway();
    const reply = await post(app, body);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param, code: 'invalid_value' });
    expect(engine.requests).toEqual([]);
  });

  test('unknown samplers are answered with those there are', async () => {
    const { app } = reuseGateway();
    const reply = await post(app, { samplers: ['nucleus'] });
    for (const name of canonical) expect(reply.json().error.message).toContain(`\`${name}\``);
  });

  test.each([
    [{ n_predict: 5 }, 5],
    [{ n_predict: 5, max_tokens: 6 }, 6],
    [{ n_predict: null }, undefined],
  ])('%j limits the completion', async (body, expected) => {
    const { app, engine } = reuseGateway();
    expect((await post(app, body)).statusCode).toBe(200);
    expect(engine.requests[0]?.maxTokens).toBe(expected);
  });

  test('a seed of -1 is another one each time', async () => {
    const { app, engine } = reuseGateway();
    for (let time = 0; time < 3; time++) await post(app, { seed: -1 });
    const seeds = engine.requests.map(({ sampling }) => sampling?.seed);
    expect(new Set(seeds).size).toBe(3);
    expect(seeds.every((seed) => typeof seed === 'bigint' && seed >= 0n)).toBe(true);
  });

  test.each([-3, 1.5, '5'])('n_predict of %j is refused', async (value) => {
    const { app } = reuseGateway();
    const reply = await post(app, { n_predict: value });
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ param: 'n_predict', code: 'invalid_value' });
  });
});
