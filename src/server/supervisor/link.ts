import { StartError } from '../../core/start-error.ts';
import { isServiceState, type ServiceState } from '../service-state.ts';

/** What the supervisor gives the gateway process when it starts it: its first argument, as JSON. */
export interface GatewayStart {
  /** Where the supervisor answers for it. */
  readonly healthPort: number;
  /** API port to open; undefined: the one of the configuration. */
  readonly port: number | undefined;
  /** Gateways that crashed before this one. */
  readonly restartCount: number;
}

/** What the gateway process tells, at every change and at least every second. */
export interface GatewayReport {
  /** Counts up; the answer to the report is this number. */
  readonly id: number;
  readonly state: ServiceState;
  /** Real number of its API port; undefined until it is open. */
  readonly port: number | undefined;
}

/** Checks what came over the channel: whatever else is loaded into the process may use it as well. */
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
   * @throws {StartError} when nobody is at the other end
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

  /** The API is open; later reports say where. */
  setPort(port: number): void {
    this.#port = port;
  }

  /** Resolves once the supervisor answers accordingly, or is gone. */
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
