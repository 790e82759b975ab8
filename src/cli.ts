#!/usr/bin/env node
import { text as readText } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { helpText, parseCommand } from './cli/command.ts';
import { runKeys } from './cli/keys-command.ts';
import { runUsage } from './cli/usage-command.ts';
import { benchKeys, commandPlaces, keysFile, usageFolder } from './config/command-defaults.ts';
import { ensureHome } from './config/home.ts';
import { placeKernelCache } from './config/kernel-cache.ts';
import { loadConfig, loadConfigOrDefaults } from './config/load-config.ts';
import { programVersion } from './core/package-info.ts';
import { StartError } from './core/start-error.ts';
import { type Logger, neutralise } from './log/log.ts';
import { type LogOutput, openLog } from './log/log-output.ts';
import type { ServeOptions } from './server/server.ts';

/** Exit codes of a second signal: 128 and the signal's number. */
const signalExitCodes = { SIGINT: 130, SIGTERM: 143 } as const;
/** A gateway whose supervisor is gone is killed if draining has not finished this long after its deadline. */
const orphanGraceMs = 15_000;
type StopSignal = keyof typeof signalExitCodes;

/** Runs the command. Returns the exit code; a failure has been reported by then. */
async function run(argv: readonly string[]): Promise<number> {
  ensureHome();
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
      case 'diagnostics':
        return await runDiagnostics(command.flags);
      case 'gateway-process':
        return await runGatewayProcess(command.flags);
      case 'keys':
        return await runKeys({
          argv: command.flags,
          defaultFile: keysFile(),
          out: (text) => process.stdout.write(text),
          err: (text) => process.stderr.write(text),
          readStdin: () => readText(process.stdin),
        });
      case 'models':
        return await runModelsCommand(command.flags);
      case 'usage':
        return await runUsage({
          argv: command.flags,
          defaultFolder: usageFolder(),
          out: (text) => process.stdout.write(text),
          err: (text) => process.stderr.write(text),
        });
      case 'bench':
        return await runBenchmark(command.flags);
      default:
        return command satisfies never;
    }
  } catch (error) {
    reportFailure(error);
    return exitCodeOf(error);
  }
}

/** @throws {ConfigError} before there is a logger; later failures are logged */
async function runServer(flags: readonly string[]): Promise<number> {
  const { config, warnings } = loadConfig({ argv: flags });
  if (config.debugShell) {
    const { debugShell } = await import('./diagnostics/debug-shell.ts');
    const stop = stopOnSignal(() => {});
    const { env } = loadConfigOrDefaults(flags);
    return debugShell(stop, (text) => process.stderr.write(text), env);
  }
  if (config.supervision.enabled) {
    const log = openLog(config.log, 'supervisor');
    const { logger, reopen: reopenLog } = log;
    const cliPath = fileURLToPath(import.meta.url);
    const { supervise } = await import('./server/supervisor/supervisor.ts');
    return untilItEnds(log, () => supervise({ cliPath, config, flags, logger, reopenLog }));
  }
  const log = openLog(config.log, 'gateway');
  const stop = stopOnSignal((signal) => log.logger.info({ signal }, 'stopping'));
  return runGateway({ config, warnings, log, stop });
}

/** The supervisor's child. The supervisor forwards signals, and handles a second one itself. */
async function runGatewayProcess([start, ...flags]: readonly string[]): Promise<number> {
  const { SupervisorLink } = await import('./server/supervisor/link.ts');
  const supervisor = new SupervisorLink(start);
  const { config, warnings } = loadConfig({ argv: flags });
  const log = openLog(config.log, 'gateway');
  const controller = new AbortController();
  const stop = (reason: object) => {
    if (controller.signal.aborted) return;
    log.logger.info(reason, 'stopping');
    controller.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop({ signal }));
  // The server reloads its keys on SIGHUP; before it does, the signal must not end the process.
  process.on('SIGHUP', () => {});
  supervisor.onOrphaned(() => {
    stop({ reason: 'the supervisor is gone' });
    const patienceMs = config.server.drainTimeoutMs + orphanGraceMs;
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), patienceMs);
  });
  return runGateway({ config, warnings, log, stop: controller.signal, supervisor });
}

async function runGateway(options: Omit<ServeOptions, 'backend'>): Promise<number> {
  process.on('SIGUSR2', () => options.log.reopen());
  return untilItEnds(options.log, async () => {
    // The rest of the program is loaded while another process tries llama.cpp's libraries.
    const { startBackend } = await import('./model/backend.ts');
    const { gpu, kernelCache } = options.config.model;
    if (kernelCache !== undefined) placeKernelCache(kernelCache);
    const { backend } = await startBackend(gpu, options.log.logger);
    const { serve } = await import('./server/server.ts');
    await serve({ ...options, backend });
    return 0;
  });
}

/** Logs failures from here on. */
async function untilItEnds(log: LogOutput, work: () => Promise<number>): Promise<number> {
  const fail = (error: unknown): number => {
    logFailure(log.logger, error);
    return exitCodeOf(error);
  };
  process.on('uncaughtException', (error) => process.exit(fail(error)));
  try {
    return await work();
  } catch (error) {
    return fail(error);
  } finally {
    await log.close();
  }
}

async function runModelsCommand(argv: readonly string[]): Promise<number> {
  const { runModels } = await import('./cli/models-command.ts');
  return runModels({
    argv,
    places: commandPlaces(),
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    stop: stopOnSignal(() => {}),
  });
}

/** Invalid settings are part of the diagnosis. */
async function runDiagnostics(argv: readonly string[]): Promise<number> {
  const [first] = argv;
  const hasFolder = first !== undefined && !first.startsWith('-');
  const { writeDiagnosis } = await import('./diagnostics/diagnostics.ts');
  const archive = await writeDiagnosis({
    ...loadConfigOrDefaults(hasFolder ? argv.slice(1) : argv),
    outputFolder: hasFolder ? first : '.',
  });
  process.stdout.write(`${archive}\n`);
  return 0;
}

/** A signal ends the measurement, not its report; the exit code is then that of the signal. */
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
    reportFailure(error);
    return stoppedBy === undefined ? exitCodeOf(error) : signalExitCodes[stoppedBy];
  }
}

/** The first signal starts a clean stop, a second signal ends the process at once. */
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

/** One line; an unexpected error has its stack at level debug. */
function logFailure(logger: Logger, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof StartError && !logger.isLevelEnabled('debug')) logger.fatal(message);
  else logger.fatal({ err: error }, message);
}

/** Reports a failure without a logger. */
function reportFailure(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  for (const line of message.split('\n')) {
    process.stderr.write(`llama-gguf-inference: ${neutralise(line)}\n`);
  }
}

function exitCodeOf(error: unknown): number {
  return error instanceof StartError ? error.exitCode : 1;
}

// Exits explicitly: llama.cpp's threads would keep the process alive after a failure.
process.exit(await run(process.argv.slice(2)));
