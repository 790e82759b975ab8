import { describe, expect, it } from 'vitest';
import { exitStatus, explainExit } from '../../../../src/server/supervisor/exit-reason.ts';
import { isGatewayReport, SupervisorLink } from '../../../../src/server/supervisor/link.ts';
import { RestartPolicy } from '../../../../src/server/supervisor/restart-policy.ts';

describe('explainExit', () => {
  it.each([
    [{ code: null, signal: 'SIGKILL' }, 137, /^SIGKILL \(137\): .*memory ran out: lower CTX/],
    [{ code: 137, signal: null }, 137, /^SIGKILL \(137\): .*memory/],
    [{ code: null, signal: 'SIGABRT' }, 134, /^SIGABRT \(134\): llama\.cpp gave up/],
    [{ code: null, signal: 'SIGSEGV' }, 139, /^SIGSEGV \(139\): native code touched memory/],
    [{ code: null, signal: 'SIGBUS' }, 135, /^SIGBUS \(135\): .*the model file was changed/],
    [{ code: null, signal: 'SIGILL' }, 132, /^SIGILL \(132\): this CPU lacks/],
    [{ code: null, signal: 'SIGUSR1' }, 138, /^SIGUSR1 \(138\): another process sent/],
    [{ code: 1, signal: null }, 1, /^exit code 1: the lines before/],
  ] as const)('%j is status %i', (exit, status, text) => {
    expect(exitStatus(exit)).toBe(status);
    expect(explainExit(exit)).toMatch(text);
  });
});

describe('RestartPolicy', () => {
  it('waits longer after each crash in a row, then gives up', () => {
    const policy = new RestartPolicy(3);
    expect([1000, 0, 59_999, 0].map((readyMs) => policy.delayAfter(readyMs))).toEqual([
      500,
      1000,
      2000,
      undefined,
    ]);
  });

  it('begins a new row after a minute without a crash', () => {
    const policy = new RestartPolicy(2);
    expect([10, 10, 60_000, 10, 10].map((readyMs) => policy.delayAfter(readyMs))).toEqual([
      500,
      1000,
      500,
      1000,
      undefined,
    ]);
  });

  it('never waits longer than half a minute, and not at all with limit 0', () => {
    const policy = new RestartPolicy(20);
    const delays = Array.from({ length: 20 }, () => policy.delayAfter(0) ?? 0);
    expect(Math.max(...delays)).toBe(30_000);
    expect(new RestartPolicy(0).delayAfter(90_000)).toBeUndefined();
  });
});

describe('a message of the channel', () => {
  it.each([
    [{ id: 1, state: 'ready', port: 8000 }, true],
    [{ id: 1, state: 'loading' }, true],
    [{ id: 1, state: 'happy' }, false],
    [{ state: 'ready' }, false],
    [{ id: 1, state: 'ready', port: '8000' }, false],
    [null, false],
    ['ready', false],
  ])('%j is a report: %s', (message, expected) => {
    expect(isGatewayReport(message)).toBe(expected);
  });

  it('needs a supervisor at its other end', () => {
    expect(() => new SupervisorLink(undefined)).toThrow('is started by `serve`');
  });
});
