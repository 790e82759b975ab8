import { describe, expect, it } from 'vitest';
import { createLogger } from '../../../src/log/log.ts';
import { createLoadProgress } from '../../../src/terminal/load-progress.ts';

function start(isTTY: boolean) {
  const lines: string[] = [];
  const drawn: string[] = [];
  const clock = { now: 0 };
  const progress = createLoadProgress(
    createLogger({ level: 'info', format: 'text' }, { write: (line) => lines.push(line) }),
    { isTTY, write: (text) => drawn.push(text) },
    () => clock.now,
  );
  return { lines, drawn, clock, progress };
}

describe('outside a terminal', () => {
  it('logs a line per ten percent of a load that takes its time', () => {
    const { lines, drawn, clock, progress } = start(false);
    for (let percent = 1; percent <= 100; percent++) {
      clock.now += 150;
      progress.update(percent / 100);
    }
    progress.end();
    expect(lines).toHaveLength(9);
    expect(lines[0]).toBe('[gateway] loading model percent=10\n');
    expect(drawn).toEqual([]);
  });

  it('logs every five seconds where ten percent take longer', () => {
    const { lines, clock, progress } = start(false);
    for (let step = 1; step <= 20; step++) {
      clock.now += 1000;
      progress.update(step / 1000);
    }
    expect(lines).toHaveLength(4);
  });

  it('logs nothing of a load that takes no time', () => {
    const { lines, progress } = start(false);
    for (const ratio of [0.3, 0.6, 0.9, 1]) progress.update(ratio);
    expect(lines).toEqual([]);
  });
});

describe('in a terminal', () => {
  it('draws a bar over itself, once per percent, and takes it away', () => {
    const { lines, drawn, progress } = start(true);
    progress.update(0.5);
    progress.update(0.501);
    progress.update(1);
    progress.end();
    expect(drawn).toEqual([
      `\r\x1b[Kloading model ${'█'.repeat(15)}${'░'.repeat(15)} 50%`,
      `\r\x1b[Kloading model ${'█'.repeat(30)} 100%`,
      '\r\x1b[K',
    ]);
    expect(lines).toEqual([]);
  });

  it('writes nothing when nothing was loaded', () => {
    const { drawn, progress } = start(true);
    progress.end();
    expect(drawn).toEqual([]);
  });
});
