/**
 * Why the server cannot start or continue, as a sentence for the operator, with the exit code: 1 for a failure at run
 * time, 2 for wrong settings or arguments.
 */
export class StartError extends Error {
  readonly exitCode: 1 | 2;

  constructor(exitCode: 1 | 2, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options);
    this.name = 'StartError';
    this.exitCode = exitCode;
  }
}
