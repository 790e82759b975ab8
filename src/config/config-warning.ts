/** A line for the log, written once there is a logger. */
export interface ConfigWarning {
  readonly level: 'info' | 'warn';
  readonly message: string;
}
