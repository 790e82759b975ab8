#!/usr/bin/env node
import { text as readText } from 'node:stream/consumers';
import { helpText, parseCommand } from './command.ts';
import { benchKeys, keysFile, loadConfig } from './config.ts';
import { runKeys } from './keys/keys-command.ts';
import { createLogger, type Logger, neutralise } from './log.ts';
import { programVersion } from './package-info.ts';
import { StartError } from './start-error.ts';

/** Exit codes of a second signal: 128 and the signal's number. */
const signalExitCodes = { SIGINT: 130, SIGTERM: 143 } as const;
type StopSignal = keyof typeof signalExitCodes;

/** Runs the command. The answer is the exit code; what went wrong has been said by then. */
async function run(argv: readonly string[]): Promise<number> {
  try {
    const command = parseCommand(argv);
    switch (command.name) {
      case 'help':
        process.stdout.write(helpText());
        return 0;
      case 'version':
        process.stdout.write(`${programVersion}\n`);
        return 0;
      case 'serve':
        return await runServer(command.flags);
      case 'keys':
        return await runKeys({
          argv: command.flags,
          defaultFile: keysFile(),
          out: (text) => process.stdout.write(text),
          err: (text) => process.stderr.write(text),
          readStdin: () => readText(process.stdin),
        });
      case 'bench':
        return await runBenchmark(command.flags);
      default:
        return command satisfies never;
    }
  } catch (error) {
    sayWhy(error);
    return exitCodeOf(error);
  }
}

/** @throws {ConfigError} before there is a logger; later failures are logged */
async function runServer(flags: readonly string[]): Promise<number> {
  const { config, warnings } = loadConfig({ argv: flags });
  const logger = createLogger(config.log);
  const stop = stopOnSignal((signal) => logger.info({ signal }, 'stopping'));
  const fail = (error: unknown): number => {
    logFailure(logger, error);
    return exitCodeOf(error);
  };
  process.on('uncaughtException', (error) => process.exit(fail(error)));
  try {
    // Only now: it opens llama.cpp's libraries, which nothing before needs.
    const { serve } = await import('./server.ts');
    await serve({ config, warnings, logger, stop });
    return 0;
  } catch (error) {
    return fail(error);
  }
}

/** A signal ends the measurement, not its report; the exit code is then the signal's. */
async function runBenchmark(flags: readonly string[]): Promise<number> {
  let stoppedBy: StopSignal | undefined;
  const stop = stopOnSignal((signal) => {
    stoppedBy = signal;
  });
  const { runBench } = await import('./bench/bench.ts');
  try {
    const exitCode = await runBench({ argv: flags, keys: benchKeys(), stop });
    return stoppedBy === undefined ? exitCode : signalExitCodes[stoppedBy];
  } catch (error) {
    sayWhy(error);
    return stoppedBy === undefined ? exitCodeOf(error) : signalExitCodes[stoppedBy];
  }
}

/** The first signal asks for a clean stop, a second one ends the process at once. */
function stopOnSignal(onStop: (signal: StopSignal) => void): AbortSignal {
  const controller = new AbortController();
  const onSignal = (signal: StopSignal) => {
    if (controller.signal.aborted) process.exit(signalExitCodes[signal]);
    onStop(signal);
    controller.abort(new Error(`stopped by ${signal}`));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return controller.signal;
}

/** One line; the stack of what nobody expected is added at level debug. */
function logFailure(logger: Logger, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof StartError && !logger.isLevelEnabled('debug')) logger.fatal(message);
  else logger.fatal({ err: error }, message);
}

/** For failures without a logger. */
function sayWhy(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  for (const line of message.split('\n')) {
    process.stderr.write(`llama-gguf-inference: ${neutralise(line)}\n`);
  }
}

function exitCodeOf(error: unknown): number {
  return error instanceof StartError ? error.exitCode : 1;
}

// Exits itself: llama.cpp's threads would keep the process alive after a failure.
process.exit(await run(process.argv.slice(2)));
