/**
 * The supervisor process. It owns the health port, starts the gateway (HTTP and engine in one process) and starts the
 * gateway again when native code crashes it. It never touches the engine, so health is answered whatever the engine does.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../config/config.ts';
import type { Logger } from '../../log/log.ts';
import { type HealthListener, openHealthListener } from '../health-server.ts';
import type { ServiceState } from '../service-state.ts';
import { exitStatus, explainExit, type ProcessExit } from './exit-reason.ts';
import { type GatewayStart, isGatewayReport } from './link.ts';
import { RestartPolicy } from './restart-policy.ts';

/** What a supervisor is started with. */
export interface SuperviseOptions {
  /** The file of the program, started again as the gateway process. */
  readonly cliPath: string;
  readonly config: Pick<Config, 'server' | 'supervision'>;
  /** The command line, which the gateway reads for itself. */
  readonly flags: readonly string[];
  readonly logger: Logger;
  /** Called on SIGUSR2, which goes to the gateway as well. */
  readonly reopenLog: () => void;
}

type StopSignal = 'SIGINT' | 'SIGTERM';

/** Beyond the drain's time: for aborting requests, closing connections and freeing the model. */
const closeGraceMs = 15_000;

/** How often the supervisor checks that the gateway reports. */
const silenceStepMs = 1000;

/**
 * Serves until a stop signal, or until the gateway cannot be kept running.
 * @returns the exit code
 * @throws {StartError} when the health port cannot be opened
 */
export async function supervise(options: SuperviseOptions): Promise<number> {
  const supervisor = new Supervisor(options);
  return supervisor.run();
}

class Supervisor {
  readonly #options: SuperviseOptions;
  readonly #policy: RestartPolicy;
  readonly #stop = new AbortController();
  #gateway: RunningGateway | undefined;
  /** While no gateway runs. */
  #idleState: ServiceState = 'loading';
  #port: number | undefined;
  #restartCount = 0;
  #everReady = false;

  constructor(options: SuperviseOptions) {
    this.#options = options;
    this.#policy = new RestartPolicy(options.config.supervision.restartLimit);
  }

  async run(): Promise<number> {
    const { server } = this.#options.config;
    const health = await openHealthListener(server, () => this.#gateway?.state ?? this.#idleState);
    this.#followSignals();
    process.once('exit', () => this.#gateway?.kill());
    try {
      return await this.#keepRunning(health);
    } finally {
      await health.close();
    }
  }

  async #keepRunning({ port: healthPort }: HealthListener): Promise<number> {
    const { logger } = this.#options;
    for (;;) {
      const gateway = await this.#runGateway(healthPort);
      const exit = await gateway.exited;
      if (this.#stop.signal.aborted) return this.#afterStop(exit);
      // The gateway received the stop signal itself.
      if (exit.code === 0) return 0;
      if (!this.#everReady) {
        // With these two codes the gateway has logged the reason.
        if (exit.code === 1 || exit.code === 2) return exit.code;
        logger.fatal(describeExit(exit), 'the gateway did not start');
        return 1;
      }
      this.#idleState = 'crashed';
      logger.error(
        describeExit(exit, gateway.wasStuck ? stuckReason : undefined),
        'the gateway crashed',
      );
      const delayMs = this.#policy.delayAfter(gateway.readyMs);
      if (delayMs === undefined) {
        logger.fatal({ restarts: this.#restartCount }, 'the gateway keeps crashing, giving up');
        return 1;
      }
      this.#restartCount += 1;
      logger.warn({ delayMs, restarts: this.#restartCount }, 'starting the gateway again');
      await sleep(delayMs, undefined, { signal: this.#stop.signal }).catch(() => {});
      if (this.#stop.signal.aborted) return 0;
      this.#idleState = 'loading';
    }
  }

  /** Starts a gateway and waits for its end. */
  async #runGateway(healthPort: number): Promise<RunningGateway> {
    const { cliPath, config, flags, logger } = this.#options;
    const start = { healthPort, port: this.#port, restartCount: this.#restartCount };
    // A default that depends on what is there stays what it was when the server began.
    const host = ['--host', config.server.host];
    const child = fork(cliPath, ['gateway-process', JSON.stringify(start), ...host, ...flags]);
    const gateway = new RunningGateway(child, start, config.supervision.watchdogTimeoutMs);
    this.#gateway = gateway;
    logger.info({ pid: gateway.pid }, 'gateway started');
    gateway.onStuck = () => logger.error({ pid: gateway.pid }, 'the gateway is stuck, killing it');
    await gateway.exited;
    this.#gateway = undefined;
    this.#everReady ||= gateway.readyMs > 0;
    this.#port = gateway.port;
    return gateway;
  }

  #afterStop(exit: ProcessExit): number {
    // A gateway that has no signal handlers yet ends by the signal itself.
    if (exit.code === 0 || exit.signal === 'SIGTERM' || exit.signal === 'SIGINT') return 0;
    const reason = exit.signal === 'SIGKILL' ? lateReason : undefined;
    this.#options.logger.error(describeExit(exit, reason), 'the gateway did not stop by itself');
    return 1;
  }

  #followSignals(): void {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => this.#onStopSignal(signal));
    }
    process.on('SIGHUP', () => this.#gateway?.forward('SIGHUP'));
    process.on('SIGUSR2', () => {
      this.#options.reopenLog();
      this.#gateway?.forward('SIGUSR2');
    });
  }

  /** Forwards the first signal; a second signal ends both processes at once. */
  #onStopSignal(signal: StopSignal): void {
    if (this.#stop.signal.aborted) {
      this.#gateway?.kill();
      process.exit(128 + constants.signals[signal]);
    }
    this.#stop.abort();
    this.#idleState = 'draining';
    if (this.#gateway === undefined) this.#options.logger.info({ signal }, 'stopping');
    this.#gateway?.stop(signal, this.#options.config.server.drainTimeoutMs + closeGraceMs);
  }
}

const stuckReason = 'it was stuck and has been killed';
const lateReason = 'it was still busy long after DRAIN_TIMEOUT and has been killed';

/** @param reason - where the supervisor knows more than the exit status says */
function describeExit(exit: ProcessExit, reason = explainExit(exit)) {
  return { status: exitStatus(exit), reason };
}

/** One gateway process, from its start to its end. */
class RunningGateway {
  readonly exited: Promise<ProcessExit>;
  onStuck: () => void = () => {};
  wasStuck = false;
  #state: ServiceState = 'loading';
  #isStopping = false;
  port: number | undefined;
  readonly #child: ChildProcess;
  readonly #watchdogTimeoutMs: number;
  #hasReported = false;
  /** Since the last report; counted, not measured, because a machine may sleep. */
  #silentMs = 0;
  #readyAt: number | undefined;
  #endedAt: number | undefined;

  constructor(child: ChildProcess, start: GatewayStart, watchdogTimeoutMs: number) {
    this.port = start.port;
    this.#watchdogTimeoutMs = watchdogTimeoutMs;
    this.#child = child;
    this.#child.on('message', (message) => this.#receive(message));
    this.exited = this.#watch();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get state(): ServiceState {
    if (this.wasStuck) return 'stuck';
    return this.#isStopping ? 'draining' : this.#state;
  }

  /** How long the gateway has been ready, in milliseconds; 0 if it never was. */
  get readyMs(): number {
    return this.#readyAt === undefined ? 0 : (this.#endedAt ?? performance.now()) - this.#readyAt;
  }

  /** Forwards a signal, unless the gateway has no handler for it yet and would be killed by it. */
  forward(signal: 'SIGHUP' | 'SIGUSR2'): void {
    if (this.#hasReported) this.#child.kill(signal);
  }

  /** @param patienceMs - after which the gateway is killed */
  stop(signal: StopSignal, patienceMs: number): void {
    this.#isStopping = true;
    this.#child.kill(signal);
    const deadline = setTimeout(() => this.kill(), patienceMs);
    this.#child.once('exit', () => clearTimeout(deadline));
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async #watch(): Promise<ProcessExit> {
    const watchdog = setInterval(() => this.#countSilence(), silenceStepMs);
    try {
      const [code, signal] = await once(this.#child, 'exit');
      return { code, signal };
    } finally {
      this.#endedAt = performance.now();
      clearInterval(watchdog);
    }
  }

  #receive(message: unknown): void {
    if (!isGatewayReport(message)) return;
    this.#hasReported = true;
    this.#silentMs = 0;
    this.#state = message.state;
    this.port = message.port ?? this.port;
    if (message.state === 'ready') this.#readyAt ??= performance.now();
    if (message.state === 'stuck') this.#giveUp();
    if (this.#child.connected) this.#child.send(message.id, () => {});
  }

  /** A blocked event loop is as bad as an engine without steps. */
  #countSilence(): void {
    if (this.#readyAt === undefined || this.#watchdogTimeoutMs === 0) return;
    this.#silentMs += silenceStepMs;
    if (this.#silentMs >= this.#watchdogTimeoutMs) this.#giveUp();
  }

  #giveUp(): void {
    if (this.wasStuck) return;
    this.wasStuck = true;
    this.onStuck();
    this.kill();
  }
}
