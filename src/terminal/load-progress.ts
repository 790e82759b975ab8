/** Writes log lines where there is no terminal. */
export interface ProgressLogger {
  info(fields: object, message: string): void;
}

/** The part of a terminal that a progress bar needs. */
export interface ProgressTerminal {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** Shows the progress of loading a model. */
export interface LoadProgress {
  /** @param ratio - share of the file that is loaded, 0 to 1 */
  update(ratio: number): void;
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
): LoadProgress {
  return terminal.isTTY === true ? drawnProgress(terminal) : loggedProgress(logger, now);
}

function drawnProgress(terminal: ProgressTerminal): LoadProgress {
  let drawnPercent = -1;
  return {
    update(ratio) {
      const percent = Math.floor(ratio * 100);
      if (percent <= drawnPercent) return;
      drawnPercent = percent;
      const filled = Math.round((percent / 100) * barWidth);
      const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled);
      terminal.write(`\r\x1b[Kloading model ${bar} ${percent}%`);
    },
    end() {
      if (drawnPercent >= 0) terminal.write('\r\x1b[K');
    },
  };
}

function loggedProgress(logger: ProgressLogger, now: () => number): LoadProgress {
  let loggedRatio = 0;
  let loggedAt = now();
  return {
    update(ratio) {
      const elapsedMs = now() - loggedAt;
      const isStep = ratio - loggedRatio >= lineStepRatio && elapsedMs >= lineGapMs;
      const isDue = isStep || elapsedMs >= lineStepMs;
      if (!isDue || ratio <= loggedRatio || ratio >= 1) return;
      loggedRatio = ratio;
      loggedAt = now();
      logger.info({ percent: Math.floor(ratio * 100) }, 'loading model');
    },
    end() {},
  };
}
