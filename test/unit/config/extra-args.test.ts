import { describe, expect, test } from 'vitest';
import { readExtraArgs } from '../../../src/config/extra-args.ts';
import { loadConfig } from '../../../src/config/load-config.ts';

describe('EXTRA_ARGS', () => {
  test.each([
    ['-b 1024 -ub 256', { BATCH_SIZE: '1024', UBATCH_SIZE: '256' }],
    ['--batch-size=1024', { BATCH_SIZE: '1024' }],
    ['-fa', { FLASH_ATTENTION: 'on' }],
    ['-fa --parallel 8', { FLASH_ATTENTION: 'on', PARALLEL: '8' }],
    ['-fa off', { FLASH_ATTENTION: 'off' }],
    ['--seed -1 --temp 0.7', { SEED: '-1', TEMPERATURE: '0.7' }],
    ['-md /models/draft.gguf', { DRAFT_MODEL_PATH: '/models/draft.gguf', SPECULATIVE: 'draft' }],
    ['--kv-unified --jinja -cb', { KV_LAYOUT: 'unified' }],
    ['--swa-full', { SWA_FULL: 'on' }],
    ['--cache-reuse 256 -t 4', { THREADS: '4' }],
    ['  -c   8192\t-ngl 99\n', { CTX: '8192', NGL: '99' }],
    ['', {}],
  ])('%j are settings', (text, settings) => {
    const { texts, problems } = readExtraArgs(text);
    expect(problems).toEqual([]);
    expect(Object.fromEntries(texts)).toEqual(settings);
  });

  test.each([
    ['--port 9000', ['EXTRA_ARGS: --port is not for the engine to decide, use PORT']],
    [
      '--api-key secret -b 64',
      ['EXTRA_ARGS: --api-key is not for the engine to decide, use AUTH_KEYS_FILE'],
    ],
    ['--rope-scaling yarn', ['EXTRA_ARGS: --rope-scaling is not supported by this server']],
    ['-b', ['EXTRA_ARGS: -b needs a value']],
    ['-b --jinja', ['EXTRA_ARGS: -b needs a value']],
    ['loose', ['EXTRA_ARGS: unexpected "loose"']],
  ])('%j are refused, each by its name', (text, problems) => {
    expect(readExtraArgs(text).problems).toEqual(problems);
  });

  test('a secret behind a flag that is refused is not shown', () => {
    expect(readExtraArgs('--api-key hunter2hunter2').problems.join()).not.toContain('hunter2');
  });

  test('win over the environment, and flags win over both', () => {
    const env = { CTX: '4096', BATCH_SIZE: '512', EXTRA_ARGS: '-c 8192 -b 1024' };
    const { config } = loadConfig({ argv: ['--batch-size', '2048'], env });
    expect(config.engine).toMatchObject({ contextLength: 8192, batchSize: 2048 });
  });

  test('with a value that is none stop the start and are named', () => {
    expect(() => loadConfig({ argv: [], env: { EXTRA_ARGS: '-b many' } })).toThrow(
      /BATCH_SIZE .* received "many" from EXTRA_ARGS/,
    );
  });
});
