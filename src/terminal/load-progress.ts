/** Writes log lines where there is no terminal. */
export interface ProgressLogger {
  info(fields: object, message: string): void;
}

/** What a progress bar needs of a terminal. */
export interface ProgressTerminal {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** Shows how far the model is loaded. */
export interface LoadProgress {
  /** @param ratio - share of the file that is loaded, 0 to 1 */
  update(ratio: number): void;
  /** Takes the bar off the terminal, so that log lines start on a line of their own. */
  end(): void;
}

const barWidth = 30;
/** A log line comes when it is this much further and this much later than the last one ... */
const lineStepRatio = 0.1;
const lineGapMs = 1000;
/** ... or, where loading is slow, after this time however little was added. */
const lineStepMs = 5000;

/** A bar that is drawn over itself in a terminal, log lines anywhere else. */
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
