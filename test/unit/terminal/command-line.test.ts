import { describe, expect, it } from 'vitest';
import { choice, text } from '../../../src/core/value-kinds.ts';
import { type FlagForm, readCommandLine } from '../../../src/terminal/command-line.ts';
import { present, readFlags } from '../../../src/terminal/flags.ts';

const forms = new Map<string, FlagForm>([
  ['port', { value: 'required' }],
  ['strict', { value: 'optional', negatable: true }],
  ['quiet', { value: 'none', short: 'q' }],
]);
const read = (...argv: string[]) => readCommandLine(argv, forms, 1);

describe('readCommandLine', () => {
  it.each([
    [['--port', '1'], { name: 'port', value: '1', negated: false }],
    [['--port=1'], { name: 'port', value: '1', negated: false }],
    [['--port', '-1'], { name: 'port', value: '-1', negated: false }],
    [['--port', ''], { name: 'port', value: '', negated: false }],
    [['--strict'], { name: 'strict', value: undefined, negated: false }],
    [['--strict=off'], { name: 'strict', value: 'off', negated: false }],
    [['--no-strict'], { name: 'strict', value: undefined, negated: true }],
    [['--quiet'], { name: 'quiet', value: undefined, negated: false }],
    [['-q'], { name: 'quiet', value: undefined, negated: false }],
  ])('reads %j', (argv, flag) => {
    expect(read(...argv)).toEqual({ flags: [flag], words: [], problems: [] });
  });

  it.each([
    [['--prot', '1'], 'unknown flag --prot, did you mean --port?'],
    [['-p', '1'], 'unknown flag -p'],
    [['--no-port'], 'unknown flag --no-port'],
    [['--port'], '--port needs a value'],
    [['--quiet=yes'], '--quiet takes no value'],
    [['--no-strict=1'], '--no-strict takes no value'],
    [['one', 'two'], 'unexpected argument "two"'],
  ])('refuses %j', (argv, problem) => {
    expect(read(...argv).problems).toEqual([expect.stringContaining(problem)]);
  });

  it('reads the flag that follows one without its value', () => {
    const { flags, problems } = read('--port', '--strict', '--port', '--quiet');
    expect(flags.map(({ name }) => name)).toEqual(['strict', 'quiet']);
    expect(problems).toEqual(['--port needs a value', '--port needs a value']);
  });

  it('takes everything behind -- for words', () => {
    expect(read('--', '--port').words).toEqual(['--port']);
  });
});

describe('readFlags', () => {
  const flags = {
    form: { kind: choice('text', 'json') },
    key: { kind: choice('a'), secret: true as const },
    file: { kind: text('FILE') },
    all: { kind: present() },
  };

  it('gives the last value of each, and all in their order', () => {
    const { values, given } = readFlags(['--file', 'a', '--all', '--form=JSON', '--file=b'], flags);
    expect(values).toEqual({ file: 'b', all: true, form: 'json' });
    expect(given.map(({ name, text }) => [name, text])).toEqual([
      ['file', 'a'],
      ['all', undefined],
      ['form', 'JSON'],
      ['file', 'b'],
    ]);
  });

  it('names what a value must be, and never a secret', () => {
    expect(readFlags(['--form', 'xml', '--key', 'hidden'], flags).problems).toEqual([
      '--form must be one of text, json, received "xml"',
      '--key must be one of a',
    ]);
  });

  it('takes an empty value for none only where that is asked for', () => {
    expect(readFlags(['--file='], flags).values).toEqual({ file: '' });
    expect(readFlags(['--file='], flags, { emptyIsUnset: true }).values).toEqual({});
  });
});
