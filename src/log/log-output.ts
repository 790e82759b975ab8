import { createLogger, type LogDestination, type Logger } from './log.ts';
import { LogFiles, type LogOwner } from './log-files.ts';
import type { LogSettings } from './log-settings.ts';

/** The log of this process, wherever it goes. */
export interface LogOutput {
  readonly logger: Logger;
  /** One line for each request; undefined where there are no files. */
  readonly accessFile: LogDestination | undefined;
  /** The server is ready: the boot log ends here. */
  beginService(): Promise<void>;
  /** Somebody has moved the files away. */
  reopen(): void;
  /** Waits until everything is written. */
  close(): Promise<void>;
}

/** Standard error, and files where there is a folder for them. */
export function openLog(config: LogSettings, owner: LogOwner): LogOutput {
  let files: LogFiles | undefined;
  // A line of the text form has no time of its own; where standard error goes, somebody adds it.
  const stamp = config.format === 'text' ? () => `${new Date().toISOString()} ` : () => '';
  const logger = createLogger(config, {
    write: (line) => {
      process.stderr.write(line);
      files?.write(`${stamp()}${line}`);
    },
  });
  // No log is worth a server that does not serve.
  const withoutFiles = (error: unknown) => {
    files = undefined;
    // The gateway says it for both.
    const level = owner === 'gateway' ? 'warn' : 'debug';
    const fields = { folder: config.files?.folder, err: error };
    logger[level](fields, 'log files cannot be written; standard error has it all');
  };
  if (config.files !== undefined) {
    try {
      files = new LogFiles(config.files, owner, withoutFiles);
    } catch (error) {
      withoutFiles(error);
    }
  }
  return {
    logger,
    accessFile: files?.access,
    beginService: async () => {
      try {
        await files?.beginService();
      } catch (error) {
        withoutFiles(error);
      }
    },
    reopen: () => files?.reopen(),
    close: async () => files?.close(),
  };
}
