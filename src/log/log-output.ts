import { createLogger, type LogDestination, type Logger } from './log.ts';
import { LogFiles, type LogOwner } from './log-files.ts';
import type { LogSettings } from './log-settings.ts';

/** The log of this process. */
export interface LogOutput {
  readonly logger: Logger;
  /** One line for each request; undefined where there are no files. */
  readonly accessFile: LogDestination | undefined;
  /** Ends the boot log: the server is ready. */
  beginService(): Promise<void>;
  /** Opens all files again, after logrotate has moved them. */
  reopen(): void;
  /** Waits until everything is written. */
  close(): Promise<void>;
}

/** Standard error, and files where there is a folder for them. */
export function openLog(config: LogSettings, owner: LogOwner): LogOutput {
  let files: LogFiles | undefined;
  // A line of the text form has no time: the collector of standard error adds one, files need their own.
  const stamp = config.format === 'text' ? () => `${new Date().toISOString()} ` : () => '';
  const logger = createLogger(config, {
    write: (line) => {
      process.stderr.write(line);
      files?.write(`${stamp()}${line}`);
    },
  });
  // A log that cannot be written must not stop the server.
  const withoutFiles = (error: unknown) => {
    files = undefined;
    // The gateway warns for both processes.
    const level = owner === 'gateway' ? 'warn' : 'debug';
    const fields = { folder: config.files?.folder, err: error };
    logger[level](fields, 'log files cannot be written; standard error has all lines');
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
