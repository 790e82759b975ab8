import { StartError } from '../../core/start-error.ts';
import { isServiceState, type ServiceState } from '../service-state.ts';

/** What the supervisor passes to the gateway process: its first argument, as JSON. */
export interface GatewayStart {
  /** The health port, which the supervisor owns. */
  readonly healthPort: number;
  /** API port to open; undefined: the port of the configuration. */
  readonly port: number | undefined;
  /** Gateways that crashed before this one. */
  readonly restartCount: number;
}

/** What the gateway process reports, at every change and at least every second. */
export interface GatewayReport {
  /** Increases; the supervisor acknowledges the report with this number. */
  readonly id: number;
  readonly state: ServiceState;
  /** The API port; undefined until it is open. */
  readonly port: number | undefined;
}

/** Checks a message of the channel, which other code in the process may use as well. */
export function isGatewayReport(message: unknown): message is GatewayReport {
  if (typeof message !== 'object' || message === null) return false;
  const { id, state, port } = message as { readonly [Key in keyof GatewayReport]?: unknown };
  const isPort = port === undefined || typeof port === 'number';
  return typeof id === 'number' && isServiceState(state) && isPort;
}

/** The gateway's end of the channel to its supervisor. */
export class SupervisorLink {
  readonly start: GatewayStart;
  #port: number | undefined;
  #lastId = 0;
  /** By the id of their report. */
  readonly #waiters = new Map<number, () => void>();

  /**
   * @param start - JSON of a {@link GatewayStart}
   * @throws {StartError} when the process was not started by a supervisor
   */
  constructor(start: string | undefined) {
    if (process.send === undefined || start === undefined) {
      throw new StartError(2, 'gateway-process is started by `serve`, not by hand');
    }
    this.start = JSON.parse(start) as GatewayStart;
    process.on('message', (id) => this.#settle(id));
    process.once('disconnect', () => {
      for (const id of this.#waiters.keys()) this.#settle(id);
    });
  }

  /** Calls back once the supervisor is gone, however it ended. */
  onOrphaned(orphaned: () => void): void {
    process.once('disconnect', orphaned);
  }

  /** Sets the port of later reports. */
  setPort(port: number): void {
    this.#port = port;
  }

  /** Resolves once the supervisor has acknowledged the report, or is gone. */
  async report(state: ServiceState): Promise<void> {
    if (!process.connected) return;
    this.#lastId += 1;
    const report: GatewayReport = { id: this.#lastId, state, port: this.#port };
    await new Promise<void>((resolve) => {
      this.#waiters.set(report.id, resolve);
      process.send?.(report, undefined, undefined, (error) => {
        if (error !== null) this.#settle(report.id);
      });
    });
  }

  #settle(id: unknown): void {
    if (typeof id !== 'number') return;
    this.#waiters.get(id)?.();
    this.#waiters.delete(id);
  }
}
