import { expect, test } from 'vitest';
import type { ReplyDelta } from '../../../src/engine/generator.ts';
import type { TokenLogprob } from '../../../src/engine/logprobs.ts';
import { TokenClaims } from '../../../src/engine/token-claims.ts';
import { tokenLogprob } from '../../support/fake-engine.ts';

/** Claims over texts of one token each, and what each part is told. */
function claimsOver(texts: readonly string[]) {
  const claims = new TokenClaims();
  let count = 0;
  for (const text of texts) {
    claims.add(text, [tokenLogprob(text, -1, count)]);
    count += [...text].length;
  }
  const textsOf = (tokens: readonly TokenLogprob[] = []) => tokens.map(({ bytes }) => `${bytes}`);
  return {
    claim: (part: ReplyDelta) => textsOf(claims.claim(part).tokens),
    rest: () => textsOf(claims.rest().tokens),
  };
}

test('marks go with the part behind them, and the last ones are left for the end', () => {
  const { claim, rest } = claimsOver([
    '<think>',
    'so ',
    'far',
    '</think>',
    '\n',
    'Yes',
    '.',
    '<end>',
  ]);
  expect(claim({ type: 'reasoning-delta', text: 'so far' })).toEqual(['<think>', 'so ', 'far']);
  expect(claim({ type: 'text-delta', text: 'Yes.' })).toEqual(['</think>', '\n', 'Yes', '.']);
  expect(rest()).toEqual(['<end>']);
  expect(rest()).toEqual([]);
});

test('a token that reaches into the next part goes with the first', () => {
  const { claim } = claimsOver(['ab', 'cd']);
  expect(claim({ type: 'text-delta', text: 'abc' })).toEqual(['ab', 'cd']);
  expect(claim({ type: 'text-delta', text: 'd' })).toEqual([]);
});

test('places are counted in characters, not in UTF-16', () => {
  const { claim } = claimsOver(['😀', '😀', 'x', 'y']);
  expect(claim({ type: 'text-delta', text: '😀😀' })).toEqual(['😀', '😀']);
  expect(claim({ type: 'text-delta', text: 'x' })).toEqual(['x']);
});

test('calls claim by their name and their arguments', () => {
  const { claim } = claimsOver([
    '<tool_call>{"name": "',
    'f',
    '", "arguments": ',
    '{"a": ',
    '1}',
    '}',
  ]);
  expect(claim({ type: 'tool-call', index: 0, id: 'c', name: 'f' })).toEqual([
    '<tool_call>{"name": "',
    'f',
  ]);
  expect(claim({ type: 'tool-call-delta', index: 0, arguments: '{"a": ' })).toEqual([
    '", "arguments": ',
    '{"a": ',
  ]);
});

test('a part that was written anew claims all that came', () => {
  const { claim, rest } = claimsOver(['f(a=', '1)']);
  expect(claim({ type: 'tool-call-delta', index: 0, arguments: '{"a": 1}' })).toEqual([
    'f(a=',
    '1)',
  ]);
  expect(rest()).toEqual([]);
});

test('nothing is added where nothing is scored', () => {
  const claims = new TokenClaims();
  claims.add('text', undefined);
  const part = { type: 'text-delta', text: 'text' } as const;
  expect(claims.claim(part)).toBe(part);
  expect(claims.rest()).toEqual({});
});
