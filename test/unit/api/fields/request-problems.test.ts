import { describe, expect, test } from 'vitest';
import { RequestProblems } from '../../../../src/api/fields/request-problems.ts';
import { GatewayError } from '../../../../src/core/errors.ts';
import { maxProblemCount, RequestRefusal } from '../../../../src/core/request-refusal.ts';

function problem(param: string, message = `\`${param}\` is wrong.`): GatewayError {
  return new GatewayError('invalid_value', { param, message });
}

function fail(error: Error): () => unknown {
  return () => {
    throw error;
  };
}

function thrownBy(problems: RequestProblems): unknown {
  try {
    problems.throwIfAny();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('the problems of a request', () => {
  test('are none without one, and a single one is thrown as it is', () => {
    const problems = new RequestProblems();
    expect(thrownBy(problems)).toBeUndefined();
    const only = problem('n');
    problems.add(only);
    expect(thrownBy(problems)).toBe(only);
  });

  test('are one error with the code and field of the first, and the sentences of all', () => {
    const problems = new RequestProblems();
    problems.add(new GatewayError('unsupported_parameter', { param: 'a', message: 'No `a`.' }));
    problems.add(problem('b'));
    problems.add(problem('b'));
    expect(thrownBy(problems)).toMatchObject({
      status: 400,
      code: 'unsupported_parameter',
      param: 'a',
      message: 'No `a`. `b` is wrong.',
    });
  });

  test('of a reader are collected, and its fallback is the result', () => {
    const problems = new RequestProblems();
    expect(problems.attempt('fallback', fail(problem('tools[3].type')))).toBe('fallback');
    expect(problems.attempt('fallback', () => 'result')).toBe('result');
    expect(problems.concerns('tools')).toBe(true);
    expect(problems.concerns('tool')).toBe(false);
  });

  test('hide the readers that need a wrong field, and no others', () => {
    const problems = new RequestProblems(problem('options.seed'));
    expect(problems.read(['n', 'options'], 0, () => 1)).toBe(0);
    expect(problems.read(['n'], 0, () => 1)).toBe(1);
    expect(problems.soundFields({ n: 1, options: { seed: 'x' }, stop: null })).toEqual({
      n: 1,
      stop: null,
    });
  });

  test('of a refusal are taken one by one', () => {
    const problems = new RequestProblems(new RequestRefusal([problem('a'), problem('b')]));
    expect(['a', 'b', 'c'].map((field) => problems.concerns(field))).toEqual([true, true, false]);
    expect(thrownBy(problems)).toMatchObject({ problems: [{ param: 'a' }, { param: 'b' }] });
  });

  test('precede the failure of what no other reader can do without', () => {
    const loading = new GatewayError('model_loading');
    const problems = new RequestProblems();
    expect(() => problems.essential(fail(loading))).toThrow(loading);
    problems.add(problem('n'));
    expect(() => problems.essential(fail(loading))).toThrow('`n` is wrong.');
  });

  test('are bounded', () => {
    const problems = new RequestProblems();
    for (let index = 0; index < maxProblemCount; index++) problems.add(problem(`f${index}`));
    expect(() => problems.add(problem('one too many'))).toThrow(
      /At least 80 more fields are wrong/,
    );
    // Known ones are none.
    problems.add(problem('f5'));
  });
});

describe('what is no problem of the fields', () => {
  test.each([
    ['a fault of the program', new TypeError('x')],
    ['a state of the server', new GatewayError('queue_full')],
  ])('%s is thrown at once', (_name, error) => {
    const problems = new RequestProblems();
    expect(() => problems.attempt(0, fail(error))).toThrow(error);
    expect(thrownBy(problems)).toBeUndefined();
  });

  test.each([
    ['a body that is no object', new GatewayError('invalid_value', { message: 'no object' })],
    ['a body that was not checked to the end', new RequestRefusal([problem('a')], false)],
    ['an error of another kind', new Error('x')],
  ])('%s is thrown at once', (_name, error) => {
    expect(() => new RequestProblems(error)).toThrow(error);
  });
});
