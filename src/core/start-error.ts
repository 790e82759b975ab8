/**
 * Why the server cannot start or go on, as a sentence for the operator, with the exit code it means:
 * 1 something failed at run time, 2 what was asked for is wrong.
 */
export class StartError extends Error {
  readonly exitCode: 1 | 2;

  constructor(exitCode: 1 | 2, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options);
    this.name = 'StartError';
    this.exitCode = exitCode;
  }
}
