/** Writes log lines where there is no terminal. */
export interface ProgressLogger {
  info(fields: object, message: string): void;
}

/** The part of a terminal that a progress bar needs. */
export interface ProgressTerminal {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** Shows the progress of loading or downloading a model. */
export interface LoadProgress {
  /**
   * @param ratio - share of the file, 0 to 1
   * @param detail - what stands behind the percentage
   */
  update(ratio: number, detail?: string): void;
  /** Removes the bar from the terminal, so that a log line starts on a line of its own. */
  end(): void;
}

const barWidth = 30;
/** Minimum progress and time between two log lines ... */
const lineStepRatio = 0.1;
const lineGapMs = 1000;
/** ... and, where loading is slow, the time after which any progress is logged. */
const lineStepMs = 5000;

/** A bar in a terminal, log lines anywhere else. */
export function createLoadProgress(
  logger: ProgressLogger,
  terminal: ProgressTerminal = process.stderr,
  now: () => number = Date.now,
  label = 'loading model',
): LoadProgress {
  return terminal.isTTY === true
    ? drawnProgress(terminal, label)
    : loggedProgress(logger, now, label);
}

function drawnProgress(terminal: ProgressTerminal, label: string): LoadProgress {
  let drawn = '';
  return {
    update(ratio, detail = '') {
      const percent = Math.floor(ratio * 100);
      const filled = Math.round((percent / 100) * barWidth);
      const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled);
      const line = `${label} ${bar} ${percent}% ${detail}`.trimEnd();
      if (line === drawn) return;
      drawn = line;
      terminal.write(`\r\x1b[K${line}`);
    },
    end() {
      if (drawn !== '') terminal.write('\r\x1b[K');
    },
  };
}

function loggedProgress(logger: ProgressLogger, now: () => number, label: string): LoadProgress {
  let loggedRatio = 0;
  let loggedAt = now();
  return {
    update(ratio, detail) {
      const elapsedMs = now() - loggedAt;
      const isStep = ratio - loggedRatio >= lineStepRatio && elapsedMs >= lineGapMs;
      const isDue = isStep || elapsedMs >= lineStepMs;
      if (!isDue || ratio <= loggedRatio || ratio >= 1) return;
      loggedRatio = ratio;
      loggedAt = now();
      const percent = Math.floor(ratio * 100);
      logger.info({ percent, ...(detail !== undefined && { detail }) }, label);
    },
    end() {},
  };
}
