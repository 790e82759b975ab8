import { describe, expect, it } from 'vitest';
import { createProgress } from '../../../src/bench/progress.ts';

function terminal(isTTY: boolean) {
  const written: string[] = [];
  const stream = { isTTY, columns: 80, write: (text: string) => written.push(text) };
  return { written, progress: createProgress(stream as unknown as NodeJS.WriteStream) };
}

describe('createProgress', () => {
  it('draws a bar over itself in a terminal and takes it away', () => {
    const { written, progress } = terminal(true);
    progress.update(0.5, 'server');
    progress.update(0.5, 'server');
    progress.end();
    expect(written).toEqual([`\r\x1b[K${'█'.repeat(12)}${'░'.repeat(12)}  50% server`, '\r\x1b[K']);
  });

  it('prints a line for each task, and few within it, anywhere else', () => {
    const { written, progress } = terminal(false);
    for (const ratio of [0, 0.1, 0.2, 0.3, 0.4]) progress.update(ratio, 'first');
    progress.update(0.5, 'second');
    progress.end();
    expect(written).toEqual(['  0% first\n', ' 30% first\n', ' 50% second\n']);
  });
});
