import { describe, expect, it } from 'vitest';
import { StartError } from '../../../src/core/start-error.ts';
import { type FitOptions, fitEngine, formatBytes } from '../../../src/model/fit.ts';

const plenty = { ramBytes: 2 ** 60, vramBytes: 2 ** 60 };

/** One byte of memory per KV cell. */
function fitTo(options: Partial<FitOptions> = {}) {
  return fitEngine({
    slotCount: undefined,
    contextLength: undefined,
    kvTokenCount: undefined,
    trainedContextLength: 8192,
    usesGpu: false,
    free: plenty,
    estimate: async ({ kvTokenCount }) => ({ ramBytes: kvTokenCount, vramBytes: 0 }),
    ...options,
  });
}

const ram = (ramBytes: number) => ({ ramBytes, vramBytes: 0 });

describe('fitEngine with memory to spare', () => {
  it.each<[string, Partial<FitOptions>, number, number, number]>([
    ['4 slots on the CPU', {}, 4, 8192, 32_768],
    ['16 slots on a GPU', { usesGpu: true }, 16, 8192, 131_072],
    ['at most 16384 tokens', { trainedContextLength: 131_072 }, 4, 16_384, 65_536],
    [
      '4096 tokens for a file that does not say',
      { trainedContextLength: undefined },
      4,
      4096,
      16_384,
    ],
    ['what was set', { slotCount: 7, contextLength: 100, kvTokenCount: 300 }, 7, 100, 300],
    ['no more context than cache', { kvTokenCount: 1000 }, 4, 1000, 1000],
  ])('chooses %s', async (_name, options, slotCount, contextLength, kvTokenCount) => {
    expect(await fitTo(options)).toEqual({ slotCount, contextLength, kvTokenCount, notes: [] });
  });

  it.each<[Partial<FitOptions>, string]>([
    [{ contextLength: 9000 }, 'CTX 9000 is more than the 8192 tokens the model was trained for'],
    [
      { contextLength: 2000, kvTokenCount: 1000 },
      'CTX 2000 is more than KV_TOKENS 1000; a request may use 1000 tokens',
    ],
  ])('warns about %j', async (options, text) => {
    const { notes } = await fitTo(options);
    expect(notes).toEqual([{ level: 'warn', message: expect.stringContaining(text) }]);
  });
});

describe('fitEngine with too little memory', () => {
  it.each<[string, Partial<FitOptions>, number, number]>([
    ['slots first', { free: ram(8192 * 3) }, 3, 8192],
    ['slots down to 1', { free: ram(8192) }, 1, 8192],
    ['then the context', { free: ram(8191) }, 1, 7936],
    ['the context down to 512', { free: ram(512) }, 1, 512],
    ['only slots when the context is set', { free: ram(5000), contextLength: 2000 }, 2, 2000],
    ['only the context when slots are set', { free: ram(4096), slotCount: 4 }, 4, 1024],
  ])('reduces %s', async (_name, options, slotCount, contextLength) => {
    const fitted = await fitTo(options);
    expect(fitted).toMatchObject({ slotCount, contextLength });
    expect(fitted.notes).toEqual([
      {
        level: 'warn',
        message: expect.stringMatching(/need .* of memory, .* are free: reduced to \d+ slots x/),
      },
    ]);
  });

  it('counts GPU memory apart', async () => {
    const fitted = await fitTo({
      usesGpu: true,
      free: { ramBytes: 2 ** 40, vramBytes: 8192 * 5 },
      estimate: async ({ kvTokenCount }) => ({ ramBytes: 1, vramBytes: kvTokenCount }),
    });
    expect(fitted).toMatchObject({ slotCount: 5, contextLength: 8192 });
  });

  it.each<[string, Partial<FitOptions>, RegExp]>([
    ['nothing at all', { free: ram(511) }, /^1 slots x 512 tokens .* need 1 MiB of memory/],
    ['what was set', { free: ram(9), slotCount: 2, contextLength: 64 }, /^2 slots x 64 tokens/],
    ['the cache that was set', { free: ram(9), kvTokenCount: 9000 }, /KV cache of 9000/],
  ])('fails with exit code 1 and the numbers when %s fits', async (_name, options, text) => {
    const failure = await fitTo(options).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(StartError);
    expect(failure).toMatchObject({ exitCode: 1, message: expect.stringMatching(text) });
  });

  it('asks for few estimates', async () => {
    let count = 0;
    await fitTo({
      trainedContextLength: 131_072,
      contextLength: undefined,
      free: ram(3000),
      estimate: async ({ kvTokenCount }) => {
        count += 1;
        return ram(kvTokenCount);
      },
    });
    expect(count).toBeLessThan(15);
  });
});

it.each([
  [0, '0 MiB'],
  [1, '1 MiB'],
  [1023 * 2 ** 20, '1023 MiB'],
  [1.5 * 2 ** 30, '1.5 GiB'],
])('formatBytes(%d) is %s', (sizeBytes, text) => {
  expect(formatBytes(sizeBytes)).toBe(text);
});
