import { describe, expect, it } from 'vitest';
import { createWorkload, type WorkloadOptions } from '../../../src/bench/workload.ts';

const base: WorkloadOptions = {
  name: 'unique',
  prompt: 'Hello',
  promptTokenCount: 110,
  prefixTokenCount: 400,
  turnCount: 3,
  scale: { tokensPerWord: 2, templateTokenCount: 10 },
  seed: '1/0/round 0',
  mark: 'server',
};

const wordCount = (text: string | undefined) => text?.split(' ').length;
const firstWords = (text: string | undefined) => text?.split(' ').slice(0, 4).join(' ');
const only = (options: Partial<WorkloadOptions>, index: number) =>
  createWorkload({ ...base, ...options })
    .session(index)
    .next('') ?? [];

describe('fixed', () => {
  it('asks the one prompt, once a session', () => {
    const session = createWorkload({ ...base, name: 'fixed' }).session(0);
    expect(session.next('')).toEqual([{ role: 'user', content: 'Hello' }]);
    expect(session.next('answer')).toBeUndefined();
  });
});

describe('unique', () => {
  it('has as many words as the tokens make without the template', () => {
    expect(wordCount(only({}, 0)[0]?.content)).toBe(50);
  });

  it('begins every prompt differently, and again for another server', () => {
    const starts = ['server', 'peer'].flatMap((mark) =>
      Array.from({ length: 100 }, (_, index) => firstWords(only({ mark }, index)[0]?.content)),
    );
    expect(new Set(starts).size).toBe(200);
  });

  it('gives both servers the same text after its first words', () => {
    const rest = (mark: string) => only({ mark }, 3)[0]?.content.split(' ').slice(4);
    expect(rest('peer')).toEqual(rest('server'));
  });

  it('repeats itself for the same seed only', () => {
    expect(only({}, 5)).toEqual(only({}, 5));
    expect(only({ seed: '2/0/round 0' }, 5)).not.toEqual(only({}, 5));
  });

  it('has at least one word', () => {
    expect(wordCount(only({ promptTokenCount: 1 }, 0)[0]?.content)).toBe(1);
  });
});

describe('shared-prefix', () => {
  it('puts the same long system message before prompts of their own', () => {
    const [first, second] = [0, 1].map((index) => only({ name: 'shared-prefix' }, index));
    expect(first?.map(({ role }) => role)).toEqual(['system', 'user']);
    expect(wordCount(first?.[0]?.content)).toBe(200);
    expect(second?.[0]).toEqual(first?.[0]);
    expect(second?.[1]).not.toEqual(first?.[1]);
  });

  it('has another prefix in another round', () => {
    const other = only({ name: 'shared-prefix', seed: '1/0/round 1' }, 0);
    expect(other[0]).not.toEqual(only({ name: 'shared-prefix' }, 0)[0]);
  });
});

describe('multi-turn', () => {
  it('continues the conversation with the answers, up to its last turn', () => {
    const session = createWorkload({ ...base, name: 'multi-turn' }).session(0);
    const first = session.next('');
    const second = session.next('one');
    const third = session.next('two');
    expect(third?.map(({ role }) => role)).toEqual([
      ...['user', 'assistant', 'user', 'assistant', 'user'],
    ]);
    expect(third?.slice(0, 3)).toEqual(second);
    expect(second?.slice(0, 1)).toEqual(first);
    expect([third?.[1]?.content, third?.[3]?.content]).toEqual(['one', 'two']);
    expect(third?.[4]).not.toEqual(third?.[2]);
    expect(session.next('three')).toBeUndefined();
  });
});
