/** Opens the API port, and the health port in a process without supervisor. */
import type { ResponseStore } from '../api/responses/response-store.ts';
import type { Config } from '../config/config.ts';
import { programVersion } from '../core/package-info.ts';
import type { LogOutput } from '../log/log-output.ts';
import { AccessLog } from '../observe/access-log.ts';
import { type ApiListener, openApiListener } from './api-listener.ts';
import type { GatewayDeps } from './gateway.ts';
import { openHealthListener } from './health-server.ts';
import type { Access } from './open-access.ts';
import type { Service } from './service.ts';
import { serviceStateOf } from './service-state.ts';
import type { SupervisorLink } from './supervisor/link.ts';

/** The open ports. */
export interface Listeners {
  readonly api: ApiListener;
  close(): Promise<void>;
}

/** What was opened for the requests: keys, limits and usage, and where responses are kept. */
export interface OpenedStores extends Access {
  /** Undefined: nowhere. */
  readonly responseStore: ResponseStore | undefined;
}

/** @throws {StartError} exit code 1 when a port cannot be opened, 2 for an unusable certificate */
export async function openListeners(
  options: {
    readonly config: Config;
    readonly log: LogOutput;
    /** The owner of the health port; undefined: this process opens it. */
    readonly supervisor?: SupervisorLink | undefined;
  },
  service: Service,
  access: OpenedStores,
): Promise<Listeners> {
  const { supervisor } = options;
  const { server } = options.config;
  const health =
    supervisor === undefined
      ? await openHealthListener(server, () => serviceStateOf(service))
      : undefined;
  try {
    const port = supervisor?.start.port ?? server.port;
    const healthPort = health?.port ?? supervisor?.start.healthPort ?? 0;
    const deps = gatewayDeps(options, service, access);
    const api = await openApiListener(
      { host: server.host, port, tls: server.tls },
      healthPort,
      deps,
    );
    const close = async () => {
      await api.close();
      await health?.close();
    };
    return { api, close };
  } catch (error) {
    await health?.close();
    throw error;
  }
}

function gatewayDeps(
  { config, log }: { readonly config: Config; readonly log: LogOutput },
  { tracing, ...service }: Service,
  { keys, limitStore, ledger, responseStore }: OpenedStores,
): Omit<GatewayDeps, 'tls'> {
  return {
    ...service,
    observers: [...accessLogOf(config.log, log), ...(tracing === undefined ? [] : [tracing])],
    logger: log.logger,
    ledger,
    responseStore,
    authentication: keys && { ...config.auth, keys, limitStore },
    settings: config.server,
    version: programVersion,
  };
}

function accessLogOf({ access, format }: Config['log'], log: LogOutput): AccessLog[] {
  return access ? [new AccessLog({ logger: log.logger, format, file: log.accessFile })] : [];
}
