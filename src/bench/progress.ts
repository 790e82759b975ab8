/** Shows progress: a bar in a terminal, plain lines anywhere else. */
export interface Progress {
  /**
   * @param ratio - 0 to 1
   * @param task - the current task
   */
  update(ratio: number, task: string): void;
  /** Removes the bar. */
  end(): void;
}

const barWidth = 24;
/** Without a terminal: a line for each new task, and for each step of this size within it. */
const lineStepRatio = 0.25;

export function createProgress(terminal: NodeJS.WriteStream = process.stderr): Progress {
  return terminal.isTTY ? drawnProgress(terminal) : printedProgress(terminal);
}

function drawnProgress(terminal: NodeJS.WriteStream): Progress {
  let drawnText = '';
  return {
    update(ratio, task) {
      const filled = Math.round(ratio * barWidth);
      const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled);
      const text = `${bar} ${String(Math.floor(ratio * 100)).padStart(3)}% ${task}`;
      if (text === drawnText) return;
      drawnText = text;
      terminal.write(`\r\x1b[K${text.slice(0, Math.max(20, terminal.columns - 1))}`);
    },
    end() {
      if (drawnText !== '') terminal.write('\r\x1b[K');
      drawnText = '';
    },
  };
}

function printedProgress(terminal: NodeJS.WriteStream): Progress {
  let printedTask = '';
  let printedRatio = 0;
  return {
    update(ratio, task) {
      if (task === printedTask && ratio - printedRatio < lineStepRatio) return;
      printedTask = task;
      printedRatio = ratio;
      terminal.write(`${String(Math.floor(ratio * 100)).padStart(3)}% ${task}\n`);
    },
    end() {},
  };
}
